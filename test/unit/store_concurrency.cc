// One writer and several readers at once, across flushes and a change of writers.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "store_fault_env.h"
#include "store_testing.h"

namespace strata::testing {
namespace {

constexpr std::uint32_t kKeys = 7;

// Record n ends at LSN n * 10 and changes key n % kKeys; every eighth version of a key is a base.
Lsn lsn_of(std::uint64_t n) { return n * 10; }
OwnedEntry entry_of(std::uint64_t n) {
  const Key key = page(1, static_cast<std::uint32_t>(n % kKeys));
  const std::string value = std::to_string(n) + std::string(n % 100, 'v');
  return n / kKeys % 8 == 0 ? image(key, lsn_of(n), value) : record(key, lsn_of(n), value);
}

Chain expected_chain(std::uint32_t block, Lsn at) {
  Chain chain;
  std::uint64_t n = at / 10;
  while (n > 0 && n % kKeys != block) --n;
  for (; n > 0; n = n > kKeys ? n - kKeys : 0) {
    const OwnedEntry one = entry_of(n);
    chain.insert(chain.begin(), {.lsn = one.lsn, .type = one.type, .base = one.base, .value = one.value});
    if (one.base) break;
  }
  return chain;
}

void write(Writer& writer, std::uint64_t begin, std::uint64_t end) {
  for (std::uint64_t n = begin; n < end; ++n) {
    put(writer, {entry_of(n)}, lsn_of(n));
    if (n % 3 == 0) writer.publish(lsn_of(n));
    if (n % 997 == 0) writer.flush();
  }
  writer.publish(lsn_of(end - 1));
}

TEST(StoreConcurrency, EveryVisibleVersionIsFoundAcrossFlushes) {
  FaultEnv env;
  Region region(SharedStore::min_size());
  Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
  auto writer = std::make_unique<Writer>(env, "store", region.shared());
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> lookups = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      Reader reader(env, "store", &region.shared());
      while (!stop) {
        const Lsn visible = region.shared().visible_lsn();
        if (visible == 0) continue;
        const Lsn at = visible - random() % std::min<Lsn>(visible, 2000);
        const auto block = static_cast<std::uint32_t>(random() % kKeys);
        const Chain expected = expected_chain(block, at);
        EXPECT_TRUE(equal(reader.chain(page(1, block), at), expected)) << block << " at " << at;
        const auto newest = reader.newest(page(1, block), at);
        EXPECT_EQ(newest.has_value(), !expected.empty());
        std::uint32_t count = 0;
        reader.scan(page(1, 0), page(1, kKeys), at, [&](const Key& key, const Version& version) {
          const Chain chain = expected_chain(key.block, at);
          EXPECT_TRUE(!chain.empty() && equal(version, chain.back())) << key.block << " at " << at;
          ++count;
          return true;
        });
        EXPECT_EQ(count, std::min<std::uint64_t>(at / 10, kKeys));
        ++lookups;
      }
    });
  }
  write(*writer, 1, 15000);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(writer->layers().size(), 15U);
  EXPECT_GT(lookups, 100U);
}

// Between the death of a worker and its successor's catching up, readers may see less, but never a hole: what they get
// is the chain at some LSN that was visible.
TEST(StoreConcurrency, AWriterThatComesAnewLeavesNoHole) {
  FaultEnv env;
  Region region(SharedStore::min_size());
  Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
  auto writer = std::make_unique<Writer>(env, "store", region.shared());
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      Reader reader(env, "store", &region.shared());
      for (std::uint32_t block = t; !stop; block = (block + 1) % kKeys) {
        const Chain chain = reader.chain(page(1, block), kMaxLsn);
        EXPECT_TRUE(chain.empty() || equal(chain, expected_chain(block, chain.back().lsn)));
      }
    });
  }
  std::uint64_t next = 1;
  for (int i = 0; i < 60; ++i) {
    write(*writer, next, next + 150);
    writer.reset();
    writer = std::make_unique<Writer>(env, "store", region.shared());
    next = writer->flushed_lsn() / 10 + 1;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace strata::testing
