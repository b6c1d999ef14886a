/* How the emulator ends a process whose program did what CUDA leaves undefined. */
#include "parts.h"

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace emulator
{

current_operation running;

/* By the dynamic table of symbols: programs are linked with -rdynamic. */
std::string kernel_name(const void *kernel)
{
    Dl_info found;
    if (dladdr(kernel, &found) == 0 || found.dli_sname == nullptr) return "a kernel";
    int status = 0;
    char *plain = abi::__cxa_demangle(found.dli_sname, nullptr, nullptr, &status);
    const std::string name = status == 0 ? plain : found.dli_sname;
    free(plain);
    return name.substr(0, name.find('('));
}

/* "in KERNEL, block (x, y, z), thread (x, y, z): ", or as much of it as there is. */
static std::string where(void)
{
    if (!holds_lock() || running.what == nullptr) return "";
    char text[128];
    const std::string name = running.kernel != nullptr ? kernel_name(running.kernel) : running.what;
    if (!running.in_thread) return "in " + name + ": ";
    snprintf(text, sizeof text, ", block (%u, %u, %u), thread (%u, %u, %u): ", blockIdx.x, blockIdx.y, blockIdx.z,
             threadIdx.x, threadIdx.y, threadIdx.z);
    return "in " + name + text;
}

[[noreturn]] static void end(int status, const std::string &text)
{
    const std::string line = "cuda emulator: " + where() + text + "\n";
    const ssize_t written = write(2, line.data(), line.size());
    (void)written;
    syscall(SYS_exit_group, status); /* _exit would have the race detector say that something is hidden from it */
    abort();
}

void misuse(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    end(EMULATOR_MISUSE, text);
}

/* Not for a handler of signals in general; but the thread that faults is in a kernel or in the program under test, not
 * in the C library, and goes on where it was or ends the process. */
static void on_fault(int signal, siginfo_t *info, void *)
{
    if (signal == SIGSEGV && holds_lock() && open_touched(info->si_addr)) return;
    if ((signal == SIGILL || signal == SIGTRAP) && holds_lock() && running.in_thread)
        end(EMULATOR_FAULT, "the compiler's check of alignment, bounds or overflow (-fsanitize) struck");
    const std::string what = describe(info->si_addr);
    const bool host = !holds_lock() || running.what == nullptr;
    if (!what.empty()) end(EMULATOR_FAULT, (host ? "the host touches " : "it touches ") + what);
    if (!host) {
        char text[64];
        snprintf(text, sizeof text, "it touches %p, which is no memory", info->si_addr);
        end(EMULATOR_FAULT, text);
    }
    ::signal(signal, SIG_DFL); /* not ours: as if nobody had looked */
}

static void install(int signal)
{
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(signal, &action, nullptr);
}

static bool install_all(void)
{
    for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGTRAP}) install(signal);
    return true;
}

void catch_touches(void)
{
    install(SIGSEGV);
}

/* A fiber may have overrun its stack, so that handlers have one of their own, one a thread. */
class signal_stack
{
  public:
    signal_stack()
    {
        static const bool installed = install_all();
        (void)installed;
        stack_t stack = {};
        stack.ss_sp = memory.data();
        stack.ss_size = memory.size();
        sigaltstack(&stack, nullptr);
    }
    ~signal_stack()
    {
        stack_t none = {};
        none.ss_flags = SS_DISABLE;
        sigaltstack(&none, nullptr);
    }

  private:
    std::vector<char> memory = std::vector<char>(64 << 10);
};

void watch_for_faults(void)
{
    static thread_local signal_stack own;
    (void)own;
}

} // namespace emulator
