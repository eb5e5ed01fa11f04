"""The command line of Apptainer and Singularity."""
