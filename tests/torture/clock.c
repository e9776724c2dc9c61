/* Preloaded into a relay: its wall clock is the machine's and what the file TORTURE_CLOCK says, a number of
   nanoseconds in eight bytes; the monotonic clock stays what it is. Waits with a deadline by the wall clock end when
   that clock has come to the deadline, also when it was stepped meanwhile, as the kernel has it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define LOOK 20000000LL

static volatile int64_t *offset;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("TORTURE_CLOCK");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *page = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) offset = page;
  if (file >= 0) close(file);
}

static int64_t real(void) {
  struct timespec now;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return now.tv_sec * SECOND + now.tv_nsec;
}

static int64_t shown(void) { return real() + (offset ? *offset : 0); }

static struct timespec spec(int64_t at) { return (struct timespec){at / SECOND, at % SECOND}; }

int clock_gettime(clockid_t clock, struct timespec *now) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return syscall(SYS_clock_gettime, clock, now);
  *now = spec(shown());
  return 0;
}

int gettimeofday(struct timeval *now, void *zone) {
  int64_t at = shown();
  (void)zone;
  *now = (struct timeval){at / SECOND, at % SECOND / 1000};
  return 0;
}

int timespec_get(struct timespec *now, int base) {
  *now = spec(shown());
  return base;
}

time_t time(time_t *now) {
  time_t at = shown() / SECOND;
  if (now) *now = at;
  return at;
}

typedef int wait_call(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
typedef int init_call(pthread_cond_t *, const pthread_condattr_t *);

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *deadline) {
  static wait_call *wait;
  int64_t until = deadline->tv_sec * SECOND + deadline->tv_nsec;
  if (!wait) wait = (wait_call *)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  /* A condition on the monotonic clock has deadlines of a machine's uptime: those are none of ours. */
  if (until < SECOND * 400000000LL) return wait(cond, mutex, deadline);
  for (;;) {
    int64_t left = until - shown();
    struct timespec look = spec(real() + (left < LOOK ? left : LOOK));
    int ended = wait(cond, mutex, &look);
    if (ended != ETIMEDOUT || shown() >= until) return ended;
  }
}
