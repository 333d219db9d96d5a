/* A lock that a thread may take again, as threading.RLock is, which C takes without a call.
 *
 * The interpreter's own lock guards its fields, so that taking one that is free is writing two of them; only who has to
 * wait uses the system's lock, which whoever gives the gate back opens for one that waits. */
#ifndef CUNUMERIC_GATE_H
#define CUNUMERIC_GATE_H

#include <Python.h>

typedef struct {
    PyObject_HEAD
    PyThread_type_lock wake; /* closed, but from when one that waits is to wake until it does */
    unsigned long owner;
    int count, waiting, waking;
} Gate;

/* 1: taken; 0: another thread has it, and `wait` is not wanted; -1: an error, raised by a signal's handler. */
static int take(Gate *g, int wait)
{
    unsigned long me = PyThread_get_thread_ident();
    if (g->count && g->owner == me) {
        g->count++;
        return 1;
    }
    while (g->count) {
        PyLockStatus status;
        if (!wait) {
            return 0;
        }
        g->waiting++;
        Py_BEGIN_ALLOW_THREADS
        status = PyThread_acquire_lock_timed(g->wake, -1, 1);
        Py_END_ALLOW_THREADS
        g->waiting--;
        if (status == PY_LOCK_ACQUIRED) {
            g->waking = 0;
        }
        else if (Py_MakePendingCalls() < 0) {
            return -1;
        }
    }
    g->owner = me;
    g->count = 1;
    return 1;
}

static void give(Gate *g)
{
    if (--g->count == 0) {
        g->owner = 0;
        if (g->waiting && !g->waking) {
            g->waking = 1;
            PyThread_release_lock(g->wake);
        }
    }
}

#endif
