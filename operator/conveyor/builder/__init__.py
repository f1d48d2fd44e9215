"""What runs in a build pod: the stage program (standard library alone) and the courier."""
