"""What people hold: the array class, its operators, ufuncs, and the way in and out of NumPy."""
