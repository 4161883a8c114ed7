/* Answers CLOCK_REALTIME as a router would that has another idea of the time: the seconds in the first eight bytes of the
 * file named by RUSTA_WALL_CLOCK are added, also when they change while the program runs. Nobody keeps it right. Loaded with
 * LD_PRELOAD. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *added;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("RUSTA_WALL_CLOCK");
    int file = name ? open(name, O_RDONLY) : -1;
    if (file < 0) return;
    void *seen = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (seen != MAP_FAILED) added = seen;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = (int)syscall(SYS_clock_gettime, clock, time);
    if (!failed && clock == CLOCK_REALTIME && added) time->tv_sec += *added;
    return failed;
}

/* TIME_ERROR: not synchronised. */
int adjtimex(void *timex) {
    (void)timex;
    return 5;
}
