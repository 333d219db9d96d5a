def ufunc_call(row, args, kwargs): return NotImplemented
def reduction_call(kernel, array, args, kwargs): return NotImplemented
def operator(row, x, y, reflected): return NotImplemented
def operator1(row, x): return NotImplemented
def inplace(row, x, y): return NotImplemented
def method_reduction(*a): return NotImplemented
def cast(*a): return NotImplemented
def copy(*a): return NotImplemented
def fill(*a): return False
def setitem(*a): return False
