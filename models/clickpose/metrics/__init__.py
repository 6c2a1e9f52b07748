"""Figures of merit: OKS, click curves, average precision. No networks here."""
