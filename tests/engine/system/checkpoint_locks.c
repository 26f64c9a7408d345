/* Preloaded into a process: notes each checkpoint of a write-ahead log that SQLite begins, and whether the process held a
** read transaction on the same database from before it until its end. By the bytes that SQLite locks in the -shm file:
** 121 is that of a checkpoint, 123 to 127 are those of readers. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHECKPOINT = 121, FIRST_READER = 123, READERS = 5, MOST = 64 };
static struct { dev_t device; ino_t number; unsigned reading; int checkpoints; } files[MOST];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void note(const char *what, const char *path) {
  const char *log = getenv("CHECKPOINT_LOCKS");
  FILE *out = log ? fopen(log, "a") : 0;
  if (out) { fprintf(out, "%s %s\n", what, path); fclose(out); }
}

static void follow(int fd, const struct flock *lock) {
  char link[64], path[4096];
  struct stat status;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 4 || fstat(fd, &status)) return;
  path[length] = 0;
  if (strcmp(path + length - 4, "-shm")) return;
  pthread_mutex_lock(&mutex);
  int i = 0;
  while (i < MOST - 1 && files[i].number && (files[i].number != status.st_ino || files[i].device != status.st_dev)) i++;
  files[i].device = status.st_dev;
  files[i].number = status.st_ino;
  if (lock->l_start == CHECKPOINT && lock->l_len == 1) {
    files[i].checkpoints = lock->l_type == F_WRLCK;
    if (files[i].checkpoints) note(files[i].reading ? "guarded" : "UNGUARDED", path);
  }
  for (int reader = 0; reader < READERS; reader++) {
    off_t byte = FIRST_READER + reader;
    if (byte < lock->l_start || byte >= lock->l_start + lock->l_len) continue;
    if (lock->l_type == F_RDLCK) files[i].reading |= 1u << reader;
    if (lock->l_type == F_UNLCK && files[i].reading & 1u << reader) {
      files[i].reading &= ~(1u << reader);
      if (!files[i].reading && files[i].checkpoints) note("UNGUARDED", path);
    }
  }
  pthread_mutex_unlock(&mutex);
}

static int locked(const char *name, int fd, int command, void *argument) {
  int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, name);
  const struct flock *lock = argument;
  int is_unlock = command == F_SETLK && lock->l_type == F_UNLCK;
  if (is_unlock) follow(fd, lock);
  int result = real(fd, command, argument);
  if (command == F_SETLK && !is_unlock && result == 0) follow(fd, lock);
  return result;
}

int fcntl(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void *argument = va_arg(list, void *);
  va_end(list);
  return locked("fcntl", fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void *argument = va_arg(list, void *);
  va_end(list);
  return locked("fcntl64", fd, command, argument);
}
