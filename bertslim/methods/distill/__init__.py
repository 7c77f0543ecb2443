"""A student learns from a teacher (Hinton, Vinyals and Dean 2015)."""
