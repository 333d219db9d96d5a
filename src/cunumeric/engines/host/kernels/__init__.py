"""engines/host/kernels"""
