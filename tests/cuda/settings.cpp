/* What the environment says, and all that is drawn from its seed. */
#include "parts.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace emulator
{

[[noreturn]] static void refuse(const char *name, const char *value)
{
    misuse("%s: what is '%s'?", name, value);
}

static int64_t number(const char *name, const char *value, int64_t least, int64_t most)
{
    char *end = nullptr;
    const long long read = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || read < least || read > most) refuse(name, value);
    return read;
}

struct word {
    const char *text;
    int means;
};

template <size_t n> static int choose(const char *name, const char *value, const word (&words)[n])
{
    for (const word &word : words)
        if (strcmp(word.text, value) == 0) return word.means;
    refuse(name, value);
}

/* WHAT:N or WHAT:N:ERROR */
static void read_failure(settings &s, const char *name, const char *value)
{
    static const struct {
        const char *text;
        failing kind;
        cudaError_t error;
    } kinds[] = {
        {"operation:", failing::operation, cudaErrorLaunchFailure},
        {"allocation:", failing::allocation, cudaErrorMemoryAllocation},
        {"launch:", failing::launch, cudaErrorLaunchOutOfResources},
    };
    for (const auto &kind : kinds) {
        const size_t length = strlen(kind.text);
        if (strncmp(value, kind.text, length) != 0) continue;
        const std::string rest = value + length;
        const size_t colon = rest.find(':');
        s.fails = kind.kind;
        s.fails_at = number(name, rest.substr(0, colon).c_str(), 1, INT64_MAX);
        s.fails_with = kind.error;
        if (colon != std::string::npos)
            s.fails_with = (cudaError_t)number(name, rest.substr(colon + 1).c_str(), 1, 999);
        return;
    }
    refuse(name, value);
}

static void read_gpus(settings &s, const char *name, const char *value)
{
    s.driver = strcmp(value, "no driver") != 0;
    s.gpus = !s.driver || strcmp(value, "none") == 0 ? 0 : (int)number(name, value, 1, MAX_GPUS);
}

static void read_setting(settings &s, const char *name, const char *value)
{
    static const word streams[] = {
        {"lazy", (int)streams_run::lazy}, {"eager", (int)streams_run::eager}, {"some", (int)streams_run::some}};
    static const word orders[] = {
        {"up", (int)threads_run::up}, {"down", (int)threads_run::down}, {"random", (int)threads_run::random}};
    static const word capabilities[] = {{"75", 75}, {"80", 80}, {"86", 86}, {"90", 90}, {"100", 100}};
    static const word yes_no[] = {{"no", 0}, {"yes", 1}};
    const std::string key = name + strlen("WEFT_EMULATOR_");
    if (key == "SEED") s.seed = (uint64_t)number(name, value, 0, INT64_MAX);
    if (key == "STREAMS") s.streams = (streams_run)choose(name, value, streams);
    if (key == "THREADS") s.threads = (threads_run)choose(name, value, orders);
    if (key == "GPUS") read_gpus(s, name, value);
    if (key == "MEMORY") s.memory = (size_t)number(name, value, 1, 1 << 20) << 20;
    if (key == "CAPABILITY") s.capability = choose(name, value, capabilities);
    if (key == "PEERS") s.peers = choose(name, value, yes_no) == 1;
    if (key == "FAIL") read_failure(s, name, value);
}

const settings &setting(void)
{
    static const settings read = [] {
        static const char *const names[] = {"WEFT_EMULATOR_SEED",  "WEFT_EMULATOR_STREAMS", "WEFT_EMULATOR_THREADS",
                                            "WEFT_EMULATOR_GPUS",  "WEFT_EMULATOR_MEMORY",  "WEFT_EMULATOR_CAPABILITY",
                                            "WEFT_EMULATOR_PEERS", "WEFT_EMULATOR_FAIL"};
        settings s;
        for (const char *name : names) {
            const char *value = getenv(name);
            if (value != nullptr && *value != '\0') read_setting(s, name, value);
        }
        return s;
    }();
    return read;
}

/* SplitMix64. */
uint64_t draw(uint64_t bound)
{
    static uint64_t state = setting().seed;
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % bound;
}

static int spared;

bool fails_now(failing kind)
{
    static int64_t seen = 0;
    return kind == setting().fails && spared == 0 && ++seen == setting().fails_at;
}

} // namespace emulator

extern "C" void emulator_spare(int more)
{
    const emulator::entry guard;
    emulator::spared += more;
}
