"""Channel flow: the incompressible Navier–Stokes equations on a grid, with slices and in-place writes.

A fluid at rest between two walls is driven along the channel by a constant force F, and a pair of eddies is stirred
into it so that the pressure has something to do. The scheme is that of step 12 of Barba and Forsyth's "CFD Python: the
12 steps to Navier–Stokes equations" (https://doi.org/10.21105/jose.00021): forward in time, upwind in advection,
central in diffusion and pressure; in every step the pressure Poisson equation is relaxed by a number of Jacobi sweeps.
The channel is periodic in x: the first and the last column are each other's neighbours. At the walls, the bottom and
the top row, the fluid sticks (u = v = 0) and the pressure has no gradient across.

    python channel_flow.py --help

Arrays are indexed [y, x]. Lengths, velocities and times are in the units of the lesson: a channel of 2 by 2, density 1,
viscosity 0.1, force 1.
"""

import argparse
import time

import cunumeric as np

LENGTH = 2.0  # along the channel, x
HEIGHT = 2.0  # from wall to wall, y
DENSITY = 1.0
VISCOSITY = 0.1
FORCE = 1.0

# Where a column is, its western and its eastern neighbour: the inner columns, then the two that meet at the seam.
COLUMNS = (
    (slice(1, -1), slice(0, -2), slice(2, None)),
    (-1, -2, 0),
    (0, -1, 1),
)


def spacing(nx, ny):
    """Distance of grid points along and across the channel."""
    return LENGTH / (nx - 1), HEIGHT / (ny - 1)


def stable_dt(nx, ny, swirl):
    """A time step that the explicit scheme bears: 0.8 of the bound for upwind advection with central diffusion.

    The bound is dt (|u|/dx + |v|/dy + 2 nu/dx² + 2 nu/dy²) <= 1 with the largest velocities that can occur: those of
    the eddies on top of the fully developed flow, whose axis moves with F h²/(8 nu).
    """
    dx, dy = spacing(nx, ny)
    fastest = FORCE * HEIGHT**2 / (8 * VISCOSITY * DENSITY) + abs(swirl)
    return 0.8 / (fastest / dx + abs(swirl) / dy + 2 * VISCOSITY * (1 / dx**2 + 1 / dy**2))


def start(nx, ny, swirl):
    """Velocity and pressure at time 0: at rest, but for two eddies that reach the speed `swirl` on the axis.

    They come from a stream function, so that no fluid is created: u = d psi / dy and v = -d psi / dx for
    psi = swirl / wave y²(h - y)² sin(wave x), where the wave fits the channel once.
    """
    dx, _ = spacing(nx, ny)
    wave = 2 * np.pi / (nx * dx)
    x = np.linspace(0, LENGTH, nx)
    y = np.linspace(0, HEIGHT, ny)[:, np.newaxis]
    u = swirl / wave * 2 * y * (HEIGHT - y) * (HEIGHT - 2 * y) * np.sin(wave * x)
    v = -swirl * y**2 * (HEIGHT - y) ** 2 * np.cos(wave * x)
    u[0, :] = 0
    u[-1, :] = 0
    v[0, :] = 0
    v[-1, :] = 0
    return u, v, np.ones((ny, nx))


def around(a, columns):
    """The points of `a` between the walls in some columns, and their neighbours: here, west, east, south, north."""
    here, west, east = columns
    return a[1:-1, here], a[1:-1, west], a[1:-1, east], a[:-2, here], a[2:, here]


def poisson_source(u, v, dx, dy, dt):
    """Right-hand side of the pressure equation: what pressure must do to keep the flow free of divergence."""
    b = np.zeros_like(u)
    for columns in COLUMNS:
        _, u_west, u_east, u_south, u_north = around(u, columns)
        _, v_west, v_east, v_south, v_north = around(v, columns)
        du_dx = (u_east - u_west) / (2 * dx)
        dv_dy = (v_north - v_south) / (2 * dy)
        shear = (u_north - u_south) / (2 * dy) * (v_east - v_west) / (2 * dx)
        b[1:-1, columns[0]] = DENSITY * (1 / dt * (du_dx + dv_dy) - du_dx**2 - 2 * shear - dv_dy**2)
    return b


def relax_pressure(p, b, dx, dy, sweeps):
    """Improve `p` in place by Jacobi sweeps of the pressure equation with source `b`."""
    weight = 2 * (dx**2 + dy**2)
    for _ in range(sweeps):
        pn = p.copy()
        for columns in COLUMNS:
            _, west, east, south, north = around(pn, columns)
            source = dx**2 * dy**2 / weight * b[1:-1, columns[0]]
            p[1:-1, columns[0]] = ((east + west) * dy**2 + (north + south) * dx**2) / weight - source
        p[-1, :] = p[-2, :]
        p[0, :] = p[1, :]


def transported(q, un, vn, columns, dx, dy, dt):
    """One velocity component after a time step of advection and diffusion; the pressure has yet to act on it."""
    here, west, east, south, north = around(q, columns)
    u, v = un[1:-1, columns[0]], vn[1:-1, columns[0]]
    advection = u * dt / dx * (here - west) + v * dt / dy * (here - south)
    diffusion = dt / dx**2 * (east - 2 * here + west) + dt / dy**2 * (north - 2 * here + south)
    return here - advection + VISCOSITY * diffusion


def move(u, v, p, dx, dy, dt):
    """Advance the velocities by one time step, in place."""
    un = u.copy()
    vn = v.copy()
    for columns in COLUMNS:
        _, p_west, p_east, p_south, p_north = around(p, columns)
        here = columns[0]
        push_x = dt / (2 * DENSITY * dx) * (p_east - p_west)
        push_y = dt / (2 * DENSITY * dy) * (p_north - p_south)
        u[1:-1, here] = transported(un, un, vn, columns, dx, dy, dt) - push_x + FORCE * dt
        v[1:-1, here] = transported(vn, un, vn, columns, dx, dy, dt) - push_y
    u[0, :] = 0
    u[-1, :] = 0
    v[0, :] = 0
    v[-1, :] = 0


def simulate(nx, ny, steps, sweeps=50, dt=None, swirl=2.0, progress=iter):
    """Run the flow for a number of time steps.

    Args:
        nx, ny: grid points along and across the channel, at least 3 each.
        steps: time steps.
        sweeps: sweeps of the pressure equation in each step.
        dt: length of a time step; left out, one that is stable on this grid.
        swirl: speed of the eddies at the start; 0 starts at rest, as the lesson does.
        progress: wraps the range of steps, as `tqdm.tqdm` does.

    Returns:
        u, v, p: velocity along and across the channel, and pressure; each of shape (ny, nx), float64.
    """
    dx, dy = spacing(nx, ny)
    if dt is None:
        dt = stable_dt(nx, ny, swirl)
    u, v, p = start(nx, ny, swirl)
    for _ in progress(range(steps)):
        b = poisson_source(u, v, dx, dy, dt)
        relax_pressure(p, b, dx, dy, sweeps)
        move(u, v, p, dx, dy, dt)
    return u, v, p


def flow_rates(u):
    """Fluid that passes each section of the channel in a unit of time, for a unit of depth; trapezoidal rule."""
    dy = HEIGHT / (u.shape[0] - 1)
    return (u[1:, :] + u[:-1, :]).sum(axis=0) * dy / 2


def expected_flow_rate(t):
    """Flow rate at time `t` of a fluid that starts from rest between two plates: Fourier's series, no eddies."""
    k = np.arange(1, 200, 2)
    decay = np.exp(-((k * np.pi / HEIGHT) ** 2) * VISCOSITY * t)
    steady = FORCE * HEIGHT**3 / (12 * VISCOSITY * DENSITY)
    return steady * (1 - 96 / np.pi**4 * (decay / k**4).sum())


def check(u, t):
    """Lines that compare the flow rate with theory, and from section to section (nothing may get lost between)."""
    rates = flow_rates(u)
    mean = rates.mean()
    return [
        f"time reached          {t:.4g}",
        f"mean flow rate        {mean:.6f}",
        f"from rest, by theory  {expected_flow_rate(t):.6f}   (no eddies)",
        f"unequal sections      {rates.max() - rates.min():.1e}   (largest less smallest rate; 0 is ideal)",
    ]


def draw(u, v, p, t, path):
    """Write a picture of speed and pressure, with streamlines and arrows of the velocity."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ny, nx = u.shape
    x = np.linspace(0, LENGTH, nx)
    y = np.linspace(0, HEIGHT, ny)
    speed = np.sqrt(u**2 + v**2)

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5.4), layout="constrained", sharey=True)
    figure.suptitle(f"Channel flow on {nx} × {ny} points at time {t:.3g}")

    image = left.pcolormesh(x, y, speed, cmap="viridis", shading="gouraud", vmin=0)
    figure.colorbar(image, ax=left, label="speed", shrink=0.85)
    left.streamplot(x, y, u, v, color="white", density=1.1, linewidth=0.8, arrowsize=0.9)
    left.set_title("Speed and streamlines")
    left.set_ylabel("y, across the channel")

    middle = (p.max() + p.min()) / 2
    reach = max(p.max() - middle, 0.01)  # rounding errors of a uniform pressure are not worth a picture
    levels = np.linspace(middle - reach, middle + reach, 25)
    image = right.contourf(x, y, p, levels=levels, cmap="RdBu_r")
    figure.colorbar(image, ax=right, label="pressure", shrink=0.85, ticks=levels[::4], format="%.3g")
    every_x, every_y = max(1, nx // 20), max(1, ny // 20)
    right.quiver(
        x[::every_x], y[::every_y], u[::every_y, ::every_x], v[::every_y, ::every_x], color="black", width=0.003
    )
    right.set_title("Pressure and velocity")

    for axes in (left, right):
        axes.set_xlabel("x, along the channel (periodic)")
        axes.set_aspect("equal")
        axes.set_xlim(0, LENGTH)
        axes.set_ylim(0, HEIGHT)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def arguments(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(description="Channel flow by the Navier–Stokes equations.")
    parser.add_argument("--nx", type=int, help="grid points along the channel (default: --size)")
    parser.add_argument("--ny", type=int, help="grid points across the channel (default: --size)")
    parser.add_argument("--size", type=int, default=81, help="grid points in both directions (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=500, help="time steps (default: %(default)s)")
    parser.add_argument(
        "--sweeps", type=int, default=50, help="sweeps of the pressure equation in a step (default: %(default)s)"
    )
    parser.add_argument(
        "--dt",
        type=float,
        help="length of a time step. By default 0.8 / (u/dx + v/dy + 2 nu/dx² + 2 nu/dy²) for the largest velocities "
        "u, v that can occur: the explicit scheme is unstable beyond 1 / (...), so a grid twice as fine needs "
        "steps about a quarter as long",
    )
    parser.add_argument(
        "--swirl", type=float, default=2.0, help="speed of the eddies at the start, 0 for none (default: %(default)s)"
    )
    parser.add_argument("--output", default="flow.png", metavar="PNG", help="picture to write (default: %(default)s)")
    parser.add_argument("--no-plot", action="store_true", help="write no picture")
    parser.add_argument("--save", metavar="FILE.npz", help="write the arrays u, v, p")
    options = parser.parse_args(argv)
    options.nx = options.size if options.nx is None else options.nx
    options.ny = options.size if options.ny is None else options.ny
    if min(options.nx, options.ny) < 3:
        parser.error("the grid needs at least 3 points in each direction")
    if min(options.steps, options.sweeps) < 0:
        parser.error("steps and sweeps cannot be negative")
    if options.dt is None:
        options.dt = stable_dt(options.nx, options.ny, options.swirl)
    elif not options.dt > 0:
        parser.error("a time step must be longer than 0")
    return options


def main(argv=None):
    """Run the simulation, say how long it took and whether it is sound, and draw it."""
    from tqdm import tqdm

    options = arguments(argv)
    began = time.perf_counter()
    u, v, p = simulate(
        options.nx,
        options.ny,
        options.steps,
        options.sweeps,
        options.dt,
        options.swirl,
        progress=lambda steps: tqdm(steps, unit="step"),
    )
    t = options.steps * options.dt
    lines = check(u, t)
    print(f"elapsed time          {time.perf_counter() - began:.2f} s")
    print("\n".join(lines))

    if options.save:
        np.savez(options.save, u=u, v=v, p=p)
        print(f"arrays                {options.save}")
    if not options.no_plot:
        draw(u, v, p, t, options.output)
        print(f"picture               {options.output}")


if __name__ == "__main__":
    main()
