// A few of many, picked at random while they pass by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace strata {

// Each of what is offered has the same chance to be kept, however many there are.
template <class T>
class Reservoir {
 public:
  // Keeps `capacity` of them. `random` is borrowed.
  Reservoir(std::size_t capacity, std::minstd_rand& random) : capacity_(capacity), random_(random) {}

  void offer(const T& one) {
    if (kept_.size() < capacity_) {
      kept_.push_back(one);
    } else if (const std::uint64_t place = random_() % (offered_ + 1); place < kept_.size()) {
      kept_[place] = one;
    }
    ++offered_;
  }
  [[nodiscard]] const std::vector<T>& kept() const { return kept_; }

 private:
  std::size_t capacity_;
  std::minstd_rand& random_;
  std::vector<T> kept_;
  std::uint64_t offered_ = 0;
};

}  // namespace strata
