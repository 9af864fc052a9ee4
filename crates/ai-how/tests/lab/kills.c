/* Stands between ai-how and libvirt's library, and ends the process at one of its calls.

   AI_HOW_TEST_CALL: which call, from 0. AI_HOW_TEST_FAULT: `before` and `after` kill the process before or after the call
   does what it does, `refused` does nothing and fails, `unanswered` does it and fails. AI_HOW_TEST_TOLD: a file that is made
   when the call is reached. Only the command itself is meant: what it starts has the same environment. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int wanted = -1;
static int calls;
static char fault;

__attribute__((constructor)) static void prepare(void) {
    char line[4096] = {0};
    int file = open("/proc/self/cmdline", O_RDONLY);
    ssize_t length = file < 0 ? 0 : read(file, line, sizeof line - 1);
    if (file >= 0) close(file);
    const char *program = strrchr(line, '/');
    program = program ? program + 1 : line;
    const char *command = line + strlen(line) + 1;
    if (length <= 0 || strcmp(program, "ai-how") || strcmp(command, "cluster")) return;
    const char *call = getenv("AI_HOW_TEST_CALL"), *kind = getenv("AI_HOW_TEST_FAULT");
    if (call && kind) wanted = atoi(call), fault = kind[0];
}

static int reached(void) {
    int here = __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST) == wanted;
    if (here) {
        const char *told = getenv("AI_HOW_TEST_TOLD");
        if (told) close(open(told, O_WRONLY | O_CREAT, 0600));
        if (fault == 'b') kill(getpid(), SIGKILL);
    }
    return here;
}

#define CALL(result, failed, name, parameters, arguments)                                                                  \
    result name parameters {                                                                                               \
        static result(*real) parameters;                                                                                   \
        if (!real) real = (result(*) parameters)dlsym(RTLD_NEXT, #name);                                                   \
        int here = reached();                                                                                              \
        if (here && fault == 'r') return failed;                                                                           \
        result given = real arguments;                                                                                     \
        if (here && fault == 'a') kill(getpid(), SIGKILL);                                                                 \
        return here && fault == 'u' ? failed : given;                                                                      \
    }

CALL(int, -1, virConnectListAllDomains, (void *c, void *list, unsigned f), (c, list, f))
CALL(int, -1, virConnectListAllNetworks, (void *c, void *list, unsigned f), (c, list, f))
CALL(void *, NULL, virNetworkCreateXML, (void *c, const char *xml), (c, xml))
CALL(int, -1, virNetworkDestroy, (void *n), (n))
CALL(int, -1, virNetworkUpdate, (void *n, unsigned c, unsigned s, int i, const char *x, unsigned f), (n, c, s, i, x, f))
CALL(void *, NULL, virDomainCreateXML, (void *c, const char *xml, unsigned f), (c, xml, f))
CALL(int, -1, virDomainDestroy, (void *d), (d))
CALL(int, -1, virDomainShutdown, (void *d), (d))
CALL(int, -1, virDomainResume, (void *d), (d))
CALL(int, -1, virDomainAttachDeviceFlags, (void *d, const char *xml, unsigned f), (d, xml, f))
CALL(int, -1, virDomainBlockResize, (void *d, const char *disk, unsigned long long size, unsigned f), (d, disk, size, f))
CALL(int, -1, virDomainSetMetadata, (void *d, int t, const char *m, const char *k, const char *u, unsigned f), (d, t, m, k, u, f))
CALL(int, -1, virDomainQemuMonitorCommand, (void *d, const char *c, char **r, unsigned f), (d, c, r, f))
