/* Threads that do the parts of a job without the interpreter: `team_run(job, context, parts)`, called without its lock.
 *
 * The caller works too, and does the parts that no worker has begun when it is through with its own. A team serves one
 * job at a time; who comes while it is busy does all parts alone. Workers that have nothing to do look out for the next
 * job for a moment before they sleep: in a loop of small sweeps it comes sooner than a sleeper wakes.
 *
 * A claim to a part is one exchange on `ticket`: (number of the job, its parts, parts begun). Who has a claim may read
 * the job, because the caller stays until all parts are done; who has none reads nothing of it. */
#ifndef CUNUMERIC_TEAM_H
#define CUNUMERIC_TEAM_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define TEAM_MOST 1024
#define LOOKING 200000  /* nanoseconds that a worker looks out, and a caller, before it sleeps */
#define EAGERLY 256     /* turns in which it does not offer its core to others */

typedef void Job(void *context, int part);

static struct {
    uint64_t ticket;
    Job *job;
    void *context;
    int done;            /* parts of the job */
    int busy, workers, sleepers, waiting;
    pthread_mutex_t lock;
    pthread_cond_t work, end;
} team = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .end = PTHREAD_COND_INITIALIZER};

static int64_t team_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* One turn of looking out; 0 when it is time to sleep. */
static int team_looks(int *turns, int64_t *since)
{
    if (++*turns < EAGERLY) {
#if defined(__SSE2__)
        _mm_pause();
#endif
        return 1;
    }
    if (*turns == EAGERLY) {
        *since = team_now();
    }
    sched_yield();
    return team_now() - *since < LOOKING;
}

static int team_open(uint64_t ticket)
{
    return (uint32_t)(ticket & 0xffff) < (uint32_t)(ticket >> 16 & 0xffff);
}

/* The next part of a job, or -1. */
static int team_claim(void)
{
    uint64_t ticket = __atomic_load_n(&team.ticket, __ATOMIC_ACQUIRE);
    while (team_open(ticket)) {
        if (__atomic_compare_exchange_n(&team.ticket, &ticket, ticket + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            return (int)(ticket & 0xffff);
        }
    }
    return -1;
}

static void team_do(int part)
{
    int parts = (int)(__atomic_load_n(&team.ticket, __ATOMIC_RELAXED) >> 16 & 0xffff);
    team.job(team.context, part);
    if (__atomic_add_fetch(&team.done, 1, __ATOMIC_SEQ_CST) == parts && __atomic_load_n(&team.waiting, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&team.lock);
        pthread_cond_signal(&team.end);
        pthread_mutex_unlock(&team.lock);
    }
}

static void *team_worker(void *unused)
{
    for (;;) {
        int part, turns = 0;
        int64_t since = 0;
        while ((part = team_claim()) < 0 && team_looks(&turns, &since)) {
        }
        if (part < 0) {
            pthread_mutex_lock(&team.lock);
            __atomic_add_fetch(&team.sleepers, 1, __ATOMIC_SEQ_CST);
            while (!team_open(__atomic_load_n(&team.ticket, __ATOMIC_SEQ_CST))) {
                pthread_cond_wait(&team.work, &team.lock);
            }
            __atomic_sub_fetch(&team.sleepers, 1, __ATOMIC_SEQ_CST);
            pthread_mutex_unlock(&team.lock);
            continue;
        }
        team_do(part);
    }
    return unused;
}

/* In a forked child the workers are gone, and nobody holds the lock. */
static void team_renew(void)
{
    team.ticket = 0;
    team.busy = team.workers = team.sleepers = team.waiting = 0;
    pthread_mutex_init(&team.lock, NULL);
    pthread_cond_init(&team.work, NULL);
    pthread_cond_init(&team.end, NULL);
}

/* Workers for so many parts, as far as the system gives them. Signals are for the threads of the program. */
static void team_grow(int parts)
{
    static int told = 0;
    if (!told) {
        told = 1;
        pthread_atfork(NULL, NULL, team_renew);
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    while (team.workers < parts - 1 && team.workers < TEAM_MOST) {
        pthread_t worker;
        if (pthread_create(&worker, &detached, team_worker, NULL) != 0) {
            break;  /* the caller does what is left */
        }
        team.workers++;
    }
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void team_run(Job *job, void *context, int parts)
{
    int free_ = 0;
    if (parts <= 1 || parts > 0xffff ||
        !__atomic_compare_exchange_n(&team.busy, &free_, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        for (int part = 0; part < parts; part++) {
            job(context, part);
        }
        return;
    }
    if (team.workers < parts - 1) {
        team_grow(parts);
    }
    team.job = job;
    team.context = context;
    __atomic_store_n(&team.done, 0, __ATOMIC_RELAXED);
    uint64_t number = (team.ticket >> 32) + 1;
    __atomic_store_n(&team.ticket, number << 32 | (uint64_t)parts << 16, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&team.sleepers, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&team.lock);
        for (int k = 0; k < team.sleepers && k < parts - 1; k++) {
            pthread_cond_signal(&team.work);
        }
        pthread_mutex_unlock(&team.lock);
    }
    int part, turns = 0;
    int64_t since = 0;
    while ((part = team_claim()) >= 0) {
        team_do(part);
    }
    while (__atomic_load_n(&team.done, __ATOMIC_ACQUIRE) < parts && team_looks(&turns, &since)) {
    }
    if (__atomic_load_n(&team.done, __ATOMIC_ACQUIRE) < parts) {
        pthread_mutex_lock(&team.lock);
        __atomic_store_n(&team.waiting, 1, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&team.done, __ATOMIC_SEQ_CST) < parts) {
            pthread_cond_wait(&team.end, &team.lock);
        }
        __atomic_store_n(&team.waiting, 0, __ATOMIC_SEQ_CST);
        pthread_mutex_unlock(&team.lock);
    }
    __atomic_store_n(&team.busy, 0, __ATOMIC_RELEASE);
}

#endif
