/* A worn flash: whatever is forced to it takes as many milliseconds as RUSTA_DISK_MS says. Loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wait_for_flash(void) {
    const char *said = getenv("RUSTA_DISK_MS");
    long ms = said ? atol(said) : 0;
    struct timespec rest = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&rest, &rest)) {
    }
}

int fsync(int file) {
    wait_for_flash();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    wait_for_flash();
    return (int)syscall(SYS_fdatasync, file);
}
