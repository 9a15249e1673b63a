// An object without any program.
int unused;
