"""Products, decompositions, solvers, Fourier transforms, polynomials."""

import numpy
import pytest

from .compare import attempt, compared, for_dtypes, for_sizes, sample

FFTS = "fft ifft rfft irfft hfft ihfft".split()
FFTNS = "fft2 ifft2 fftn ifftn rfft2 irfft2 rfftn irfftn".split()


def matrix(np, n, dtype="float64", seed=0):
    return np.array(numpy.random.default_rng(seed).random((n, n)).astype(dtype)) + np.eye(n, dtype=dtype) * n


@for_dtypes("float64", "float32", "complex128", "int64", "bool", "object", "float16")
@compared
def test_products(np, dtype):
    x, y = sample(np, dtype, (4, 6), 1, special=False), sample(np, dtype, (6, 5), 2, special=False)
    v = x[0]
    return [
        attempt(f)
        for f in (
            lambda: x @ y, lambda: np.dot(x, y), lambda: x.dot(y), lambda: np.matmul(x, y), lambda: v @ y,
            lambda: x @ v, lambda: v @ v, lambda: np.inner(x, x), lambda: np.outer(v, v),
            lambda: np.tensordot(x, y, 1), lambda: np.einsum("ij,jk->ik", x, y), lambda: np.einsum("ij,ij", x, x),
            lambda: np.vdot(v, v), lambda: np.kron(v, v), lambda: np.cross(v[:3], v[3:]), lambda: x @ x, lambda: x @ 2,
            lambda: 2 @ x, lambda: np.matmul(x, y, out=np.zeros((4, 5), dtype)), lambda: x.T @ x,
            lambda: np.vecdot(v, v), lambda: np.matvec(x, v), lambda: np.vecmat(x[:, 0], x), lambda: np.trace(x),
            lambda: [[1] * 4] @ x, lambda: np.linalg.multi_dot([x, y, y.T]),
            lambda: np.linalg.matrix_power(x[:, :4], 3), lambda: (x + x) @ (y + y), lambda: np.linalg.vecdot(v, v),
            lambda: np.linalg.outer(v, v), lambda: np.convolve(v, v), lambda: np.correlate(v, v, "full"),
        )
    ]  # fmt: skip


@compared
def test_product_in_place_and_stacks(np):
    x = np.arange(16.0).reshape(4, 4) + 1
    s = np.arange(48.0).reshape(3, 4, 4)
    y = x
    x @= x
    x += 1
    return [
        x,
        x is y,
        s @ x,
        s @ s,
        s @ x[0],
        np.einsum("kij->kji", s),
        np.einsum("kii->ki", s),
        attempt(np.einsum, "ij", s),
    ]


@for_dtypes("float64", "float32", "complex128")
@compared
def test_linalg(np, dtype):
    a = matrix(np, 6, dtype)
    h = a + a.T.conj()
    b = np.arange(6).astype(dtype) + 1
    la = np.linalg
    return [
        la.inv(a), la.solve(a, b), la.solve(a, a), la.det(a), tuple(la.slogdet(a)), tuple(la.eigh(h)), la.eigvalsh(h),
        la.cholesky(h), tuple(la.qr(a)), tuple(la.svd(a)), la.svdvals(a), la.norm(a), la.norm(a, 1), la.norm(a, 2),
        la.norm(b), la.norm(a, axis=0), la.pinv(a), la.matrix_rank(a), la.cond(a), la.lstsq(a, b)[0],
        la.matrix_power(a, -2), tuple(la.eig(a)), la.tensorinv(a.reshape(2, 3, 6)), attempt(la.inv, a[:2]),
        attempt(la.inv, a * 0), attempt(la.solve, a, b[:2]), attempt(la.cholesky, -h), attempt(la.det, b),
        la.matrix_norm(a), la.vector_norm(b), la.diagonal(a), la.trace(a), la.matrix_transpose(a),
        type(la.eigh(h)).__name__,
    ]  # fmt: skip


@for_sizes
@pytest.mark.parametrize("name", FFTS)
@compared
def test_fft(np, name, n):
    f = getattr(np.fft, name)
    x = sample(np, "float64" if name in ("rfft", "ihfft") else "complex128", n, 1, special=False)
    m = x[: n - n % 3].reshape(3, -1)
    return [
        f(x), f(m), f(m, axis=0), f(m, 8), f(x, norm="ortho"), f(x, norm="forward"),
        attempt(f, x, 0), attempt(f, x, norm="spam"), attempt(f, x, axis=3), f(x + x), f(x[::2]), attempt(f, x[:0]),
        f(m.T),
    ]  # fmt: skip


@pytest.mark.parametrize("name", FFTNS)
@compared
def test_fftn(np, name):
    f = getattr(np.fft, name)
    results = []
    for shape in ((6, 8), (3, 6, 8), (130, 140)):
        x = sample(np, "float64" if name.startswith("rfft") else "complex128", shape, 1, special=False)
        results += [
            f(x),
            f(x, norm="ortho"),
            attempt(f, x, axes=(0, 1)),
            attempt(f, x, s=(4, 4)),
            f(x + x),
            attempt(f, x[0, 0]),
        ]
    return results


@compared
def test_fft_helpers(np):
    x = np.arange(8.0)
    return [
        np.fft.fftfreq(8, 0.1),
        np.fft.rfftfreq(8),
        np.fft.fftshift(x),
        np.fft.ifftshift(x.reshape(2, 4), 1),
        np.fft.fft([1, 2, 3]),
    ]


@compared
def test_single_precision_transforms(np):
    x = sample(np, "float32", (16, 32), 1, special=False)
    return [
        np.fft.fft(x),
        np.fft.rfft2(x),
        np.fft.ifft(x.astype("c8")),
        np.fft.fft2(x, out=np.zeros((16, 32), "c8")),
        np.fft.fft(x > 0),
    ]


@compared
def test_polynomials(np):
    p = np.polynomial.Polynomial([1, 2, 3])
    x = np.arange(5.0)
    return [
        np.polyfit(x, x**2, 2).round(9) + 0.0, np.polyval([1, 2, 3], x), np.roots([1, -3, 2]), np.poly([1, 2]),
        np.polyder([1, 2, 3]), np.polyint([1, 2]), np.polymul([1, 2], [1, 3]), np.polydiv([1, 5, 6], [1, 2]), repr(p),
        str(p), np.polynomial.chebyshev.chebval(x, [1, 2, 3]), np.polynomial.legendre.leggauss(3),
        np.poly1d([1, 2])(x), repr(np.poly1d([1, 2])), np.vander(x, 3), np.interp(2.5, x, x**2), np.unwrap(x * 3),
        np.i0(x), np.hanning(5), np.kaiser(5, 2.0), np.bartlett(4),
    ]  # fmt: skip


@pytest.mark.xfail(strict=True, reason="methods and coefficients of NumPy's polynomial classes are NumPy's arrays")
@compared
def test_polynomial_classes(np):
    p, x = np.polynomial.Polynomial([1, 2, 3]), np.arange(5.0)
    return [p(x), (p * p).coef, p.roots(), p.linspace(3), p.fit(x, x, 1).convert().coef.shape]
