"""How good tracks are, where the truth is known: HOTA, identity F1, MOTA; files of the MOTChallenge."""
