#include "redo/containment.h"

extern "C" {
#include "miscadmin.h"
}

#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "redo/guarded_page.h"

namespace strata::redo {

namespace {

constexpr Size kStackBytes = Size{1024} * 1024;
constexpr Size kSignalStackBytes = Size{64} * 1024;
constexpr int kFaultSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

// All of it static: nothing that the way back needs lies on a stack or in the heap, which redo may have damaged.
bool prepared = false;
char* job_stack = nullptr;
char* signal_stack = nullptr;
ucontext_t job_context;
bool job_stack_in_use = false;  // job_loop() waits on it
jmp_buf job_resumes;
jmp_buf caller_resumes;
sigjmp_buf after_fault;
Job current_job = nullptr;
void* current_argument = nullptr;
struct sigaction previous[NSIG];

pg_stack_base_t session_base = nullptr;

volatile sig_atomic_t armed = 0;
volatile sig_atomic_t fault_signal = 0;
volatile unsigned long step = 0;
unsigned long step_at_tick = 0;
int ticks_of_step = 0;

// What the kernel or abort() raised in this process, and not what another one sent.
bool is_of_this_code(int signal, const siginfo_t* info) {
  return signal == SIGABRT ? info->si_code <= 0 && info->si_pid == getpid() : info->si_code > 0;
}

[[noreturn]] void leave_job(int signal) {
  armed = 0;
  fault_signal = signal;
  siglongjmp(after_fault, 1);
}

// As if this handler had never been there.
void hand_on(int signal, siginfo_t* info, void* context) {
  const struct sigaction& action = previous[signal];
  if ((action.sa_flags & SA_SIGINFO) != 0) {
    action.sa_sigaction(signal, info, context);
  } else if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) {
    action.sa_handler(signal);
  } else {
    sigaction(signal, &action, nullptr);
    // What an instruction raised comes again by itself.
    if (info->si_code <= 0) raise(signal);
  }
}

void on_fault(int signal, siginfo_t* info, void* context) {
  if (armed != 0 && is_of_this_code(signal, info)) leave_job(signal);
  hand_on(signal, info, context);
}

// Once in a second of processor time.
void on_tick(int, siginfo_t*, void*) {
  if (armed == 0 || step != step_at_tick) {
    step_at_tick = step;
    ticks_of_step = 0;
  } else if (++ticks_of_step >= kMaxStepSeconds) {
    leave_job(SIGVTALRM);
  }
}

bool handle(int signal, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  // A stack of its own, because that of the job may be what has run over. The signal stays unblocked for the way back.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART;
  sigemptyset(&action.sa_mask);
  return sigaction(signal, &action, &previous[signal]) == 0;
}

bool install_handlers() {
  for (const int signal : kFaultSignals) {
    if (!handle(signal, on_fault)) return false;
  }
  const struct itimerval every_second = {.it_interval = {.tv_sec = 1, .tv_usec = 0},
                                         .it_value = {.tv_sec = 1, .tv_usec = 0}};
  return handle(SIGVTALRM, on_tick) && setitimer(ITIMER_VIRTUAL, &every_second, nullptr) == 0;
}

// Never returns: it stands at the bottom of its stack, and between jobs it waits.
void job_loop() {
  for (;;) {
    // PostgreSQL measures the depth of its stack from where it began.
    session_base = set_stack_base();
    current_job(current_argument);
    if (_setjmp(job_resumes) == 0) _longjmp(caller_resumes, 1);
  }
}

[[gnu::noinline]] void switch_to_job() {
  if (_setjmp(caller_resumes) != 0) return;
  if (job_stack_in_use) _longjmp(job_resumes, 1);
  job_stack_in_use = true;
  setcontext(&job_context);
  // It only returns when it fails.
  elog(FATAL, "could not change to the stack of redo: %m");
}

}  // namespace

void prepare_containment() {
  if (prepared) return;
  if (job_stack == nullptr) job_stack = map_guarded(kStackBytes);
  if (signal_stack == nullptr) signal_stack = map_guarded(kSignalStackBytes);
  stack_t handlers = {};
  handlers.ss_sp = signal_stack;
  handlers.ss_size = kSignalStackBytes;
  if (sigaltstack(&handlers, nullptr) != 0 || getcontext(&job_context) != 0 || !install_handlers()) {
    ereport(ERROR, (errcode(ERRCODE_SYSTEM_ERROR), errmsg("could not prepare the handling of faults in redo: %m")));
  }
  job_context.uc_stack.ss_sp = job_stack;
  job_context.uc_stack.ss_size = kStackBytes;
  job_context.uc_link = nullptr;
  makecontext(&job_context, job_loop, 0);
  prepared = true;
}

Fault run_contained(Job job, void* argument) {
  Assert(prepared && armed == 0);
  current_job = job;
  current_argument = argument;
  fault_signal = 0;
  if (sigsetjmp(after_fault, 0) == 0) {
    begin_step();
    armed = 1;
    switch_to_job();
    armed = 0;
  }
  restore_stack_base(session_base);
  return {.signal = static_cast<int>(fault_signal)};
}

void begin_step() { step = step + 1; }

const char* describe(const Fault& fault) {
  static char text[64];
  if (fault.signal == SIGVTALRM) {
    std::snprintf(text, sizeof(text), "it took more than %d seconds", kMaxStepSeconds);
  } else {
    std::snprintf(text, sizeof(text), "signal %d: %s", fault.signal, pg_strsignal(fault.signal));
  }
  return text;
}

}  // namespace strata::redo
