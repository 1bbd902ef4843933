"""Structure: what each bar of a tune says that is new, which earlier bars it leans on, and what changes with it.

The paper
---------
J. Jiang, G. G. Xia, D. B. Carlton, C. N. Anderson and R. H. Miyakawa, *Transformer VAE: A Hierarchical Model for
Structure-Aware and Interpretable Music Representation Learning*, ICASSP 2020. Each bar of a melody gets one Gaussian
code, from an encoder that sees the bars up to it; a decoder, which sees the same, writes the bars again. As a VAE pays
for what it stores, and a later bar can look back, the cheapest is to store a repeated bar once.

:mod:`.train.paper` is the model of the authors' released code, whose sizes, masks and loss are known exactly.
"""
