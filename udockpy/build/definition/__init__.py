"""Definition files, as Singularity and Apptainer have them."""
