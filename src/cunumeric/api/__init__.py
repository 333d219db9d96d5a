"""NumPy's functions over our arrays. Most are NumPy's, called on the inner arrays; the rest are composed here."""
