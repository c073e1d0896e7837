#include "travellers/channel.h"

extern "C" {
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/spin.h"
}

#include <cstring>

#include "pg/shared_memory.h"
#include "travellers/settings.h"

namespace strata::travellers {

namespace {

struct Table {
  slock_t mutex;
  ConditionVariable change;
  int victim;  // where to look next for an idle traveller
};

Table* table = nullptr;
Channel* channels = nullptr;

std::size_t shared_bytes() {
  return MAXALIGN(sizeof(Table)) + sizeof(Channel) * static_cast<std::size_t>(max_travellers());
}

bool is_free(const Channel& channel) { return !channel.in_call && !channel.traveller_lives; }

// A traveller that was registered and never came, because the server could not start it, frees nothing itself.
void free_channels_of_the_stillborn() {
  for (int i = 0; i < max_travellers(); i++) {
    WorkerHandle worker;
    uint32 generation = 0;
    {
      const ChannelLock lock;
      const Channel& channel = channels[i];
      if (channel.in_call || !channel.traveller_lives || channel.traveller_pid != 0) continue;
      worker = channel.worker;
      generation = channel.generation;
    }
    if (!has_ended(worker)) continue;
    const ChannelLock lock;
    Channel& channel = channels[i];
    if (channel.generation == generation && channel.traveller_pid == 0) channel.traveller_lives = false;
  }
}

}  // namespace

void register_channels() {
  const auto attach = [](void* memory, bool initialize) {
    table = static_cast<Table*>(memory);
    channels = reinterpret_cast<Channel*>(static_cast<char*>(memory) + MAXALIGN(sizeof(Table)));
    if (!initialize) return;
    std::memset(memory, 0, shared_bytes());
    SpinLockInit(&table->mutex);
    ConditionVariableInit(&table->change);
  };
  pg::register_shared_memory({"strata channels", shared_bytes, attach});
}

Channel& channel(int index) { return channels[index]; }

ChannelLock::ChannelLock() { SpinLockAcquire(&table->mutex); }
ChannelLock::~ChannelLock() { SpinLockRelease(&table->mutex); }

int claim_free_channel() {
  free_channels_of_the_stillborn();
  const ChannelLock lock;
  for (int i = 0; i < max_travellers(); i++) {
    Channel& channel = channels[i];
    if (!is_free(channel)) continue;
    channel.generation++;
    channel.in_call = true;
    channel.busy = false;
    channel.leave = false;
    channel.begun = 0;
    channel.traveller_pid = 0;
    channel.session = MyProcNumber;
    return i;
  }
  return -1;
}

bool ask_an_idle_one_to_leave() {
  const Channel* chosen = nullptr;
  {
    const ChannelLock lock;
    for (int i = 0; i < max_travellers() && chosen == nullptr; i++) {
      Channel& channel = channels[(table->victim + i) % max_travellers()];
      if (channel.in_call || !channel.traveller_lives || channel.busy || channel.traveller_pid == 0) continue;
      channel.leave = true;
      chosen = &channel;
    }
    if (chosen != nullptr) table->victim = (table->victim + 1) % max_travellers();
  }
  if (chosen == nullptr) return false;
  wake_traveller(*chosen);
  return true;
}

ConditionVariable& channels_change() { return table->change; }

void wake_traveller(const Channel& channel) {
  ProcNumber traveller = INVALID_PROC_NUMBER;
  {
    const ChannelLock lock;
    if (channel.traveller_lives && channel.traveller_pid != 0) traveller = channel.traveller;
  }
  if (traveller != INVALID_PROC_NUMBER) SetLatch(&GetPGProcByNumber(traveller)->procLatch);
}

}  // namespace strata::travellers
