/* The line of the program that records, and who hears of the flags of an operation. Part of `_recording.c`. */
#ifndef CUNUMERIC_HEARING_H
#define CUNUMERIC_HEARING_H

/* Whether operations that can raise a floating-point flag may be recorded now (`warning.kinds_heard`). The answer is
 * remembered for as long as the error state, the filters of warnings and what shows them are the same objects. */
static PyObject *may_flag(void)
{
    static PyObject *known[4], *kinds;
    static Py_ssize_t known_size = -1;
    PyObject *now[4] = {NULL, PyDict_GetItem(filters, s_filters), NULL, PyDict_GetItem(filters, s_show)};
    if (now[1] == NULL || !PyList_Check(now[1]) || PyContextVar_Get(state, Py_None, &now[0]) < 0) {
        PyErr_Clear();
        return NULL;
    }
    Py_DECREF(now[0]); /* the variable holds it */
    Py_ssize_t size = PyList_GET_SIZE(now[1]);
    now[2] = size ? PyList_GET_ITEM(now[1], 0) : NULL;
    if (size == known_size && memcmp(now, known, sizeof now) == 0) {
        return kinds;
    }
    known_size = -1;
    Py_XSETREF(kinds, PyObject_CallNoArgs(kinds_heard));
    if (kinds == NULL || kinds == Py_None) {
        PyErr_Clear();
        return NULL;
    }
    else {
        known_size = size;
        for (int k = 0; k < 4; k++) {
            Py_XINCREF(now[k]);
            Py_XSETREF(known[k], now[k]);
        }
    }
    return kinds;
}

/* `lines.here()`: the code and the position of the innermost frame that is not this package's; None without one. Pairs
 * are made once for as long as loops come round. */
#define LINES 256
static PyObject *here(void)
{
    static PyObject *lines[LINES];
    PyFrameObject *frame = PyEval_GetFrame();
    PyObject *found = NULL;
    Py_XINCREF((PyObject *)frame);
    while (frame != NULL && found == NULL) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        PyFrameObject *back = NULL;
        long at = PyFrame_GetLasti(frame);
        PyObject **line = &lines[(((size_t)code >> 4) + (size_t)at / 2) % LINES];
        if (*line != NULL && PyTuple_GET_ITEM(*line, 0) == (PyObject *)code &&
            PyLong_AsLong(PyTuple_GET_ITEM(*line, 1)) == at) {
            found = Py_NewRef(*line);
        }
        else if (PyUnicode_Tailmatch(code->co_filename, house, 0, PY_SSIZE_T_MAX, -1) != 1) {
            found = Py_BuildValue("Ol", code, at);
            Py_XSETREF(*line, Py_XNewRef(found));
        }
        else {
            back = PyFrame_GetBack(frame);
        }
        Py_DECREF(code);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF((PyObject *)frame);
    PyErr_Clear();
    return found == NULL ? Py_NewRef(Py_None) : found;
}

/* Whether a frame runs a line of this package. Whose a file is, is asked of the module's name once: a file's name is one
 * object in all of its code. */
static int in_house(PyFrameObject *frame)
{
    static PyObject *theirs[8];
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject **known = theirs + ((size_t)code->co_filename >> 4) % 8;
    int found = 0;
    if (*known != code->co_filename) {
        PyObject *globals = PyFrame_GetGlobals(frame), *name = PyDict_GetItem(globals, s_name);
        const char *text = name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
        found = text != NULL && strncmp(text, "cunumeric.", 10) == 0;
        if (!found) {
            Py_XSETREF(*known, Py_NewRef(code->co_filename));
        }
        Py_DECREF(globals);
    }
    Py_DECREF(code);
    return found;
}

/* Who hears of the flags of an operation: the user's line that records it (`warning.Ear`). */
static PyObject *ear_of(PyObject *kinds)
{
    PyFrameObject *frame = PyEval_GetFrame();
    Py_XINCREF(frame);
    while (frame != NULL && in_house(frame)) {
        PyFrameObject *back = PyFrame_GetBack(frame);
        if (back == NULL) {
            break;
        }
        Py_SETREF(frame, back);
    }
    PyObject *ear = frame == NULL ? NULL : make(ears_pool);
    if (ear != NULL) {
        set(ear, ear_kinds, Py_NewRef(kinds));
        set(ear, ear_code, (PyObject *)PyFrame_GetCode(frame));
        set(ear, ear_at, PyLong_FromLong(PyFrame_GetLasti(frame)));
        set(ear, ear_namespace, PyFrame_GetGlobals(frame));
    }
    Py_XDECREF(frame);
    return ear;
}

#endif
