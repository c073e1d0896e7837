// A file system in memory that fails when told to, and forgets at a crash what was not synced.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "store/env.h"
#include "store/error.h"

namespace strata::testing {

class FaultEnv : public Env {
 public:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  // Operations that change something so far.
  [[nodiscard]] std::uint64_t operations() const { return operations_; }
  // The operation with this number throws; an append writes half of its data before.
  void fail_at(std::uint64_t operation, ErrorKind kind = ErrorKind::kIo) {
    fail_at_ = operation;
    kind_ = kind;
    crash_ = false;
  }
  // The operation with this number and all later ones throw, until restart().
  void crash_at(std::uint64_t operation) {
    fail_at_ = operation;
    kind_ = ErrorKind::kIo;
    crash_ = true;
  }
  // The machine comes up again. Of what was not synced, `keep` (0 to 1) of each file's bytes have made it.
  void restart(double keep = 0) {
    fail_at_ = kNever;
    names_ = durable_names_;
    for (auto& [name, file] : names_) {
      const auto unsynced = static_cast<double>(file->content.size() - file->synced);
      file->content.resize(file->synced + static_cast<std::size_t>(unsynced * keep));
      file->synced = file->content.size();
    }
  }

  // What is on the disk, for another run of the same work. REQUIRES: restart() before, no file open.
  [[nodiscard]] std::map<std::string, std::string> save() const {
    std::map<std::string, std::string> saved;
    for (const auto& [name, file] : names_) saved[name] = file->content;
    return saved;
  }
  void load(const std::map<std::string, std::string>& saved) {
    fail_at_ = kNever;
    names_.clear();
    for (const auto& [name, content] : saved) {
      names_[name] = std::make_shared<File>(File{.content = content, .synced = content.size()});
    }
    durable_names_ = names_;
  }

  [[nodiscard]] std::string& content(const std::string& path) { return names_.at(path)->content; }

  std::unique_ptr<ReadableFile> open(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (crash_ && operations_ > fail_at_) throw StoreError(kind_, "crashed");
    return std::make_unique<Readable>(path, find(path), mutex_);
  }
  std::unique_ptr<WritableFile> create(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    operation(path);
    names_[path] = std::make_shared<File>();
    return std::make_unique<Writable>(*this, path, names_[path]);
  }
  std::unique_ptr<WritableFile> append_to(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    operation(path);
    return std::make_unique<Writable>(*this, path, find(path));
  }
  bool exists(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    return names_.contains(path) || std::any_of(names_.begin(), names_.end(),
                                                [&](const auto& one) { return one.first.starts_with(path + "/"); });
  }
  std::vector<std::string> list(const std::string& directory) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> result;
    for (const auto& [path, file] : names_) {
      if (path.starts_with(directory + "/")) result.push_back(path.substr(directory.size() + 1));
    }
    return result;
  }
  void create_directory(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    operation(path);
  }
  void sync_directory(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    operation(path);
    durable_names_ = names_;
  }
  void rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    operation(from);
    names_[to] = find(from);
    names_.erase(from);
  }
  void remove(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    operation(path);
    names_.erase(path);
  }
  void truncate(const std::string& path, std::uint64_t size) override {
    const std::lock_guard lock(mutex_);
    operation(path);
    find(path)->content.resize(size);
  }

 private:
  struct File {
    std::string content;
    std::size_t synced = 0;
  };

  class Readable : public ReadableFile {
   public:
    Readable(std::string path, std::shared_ptr<File> file, std::mutex& mutex)
        : path_(std::move(path)), file_(std::move(file)), mutex_(mutex) {}
    void read(std::uint64_t offset, std::span<std::byte> out) const override {
      const std::lock_guard lock(mutex_);
      if (offset > file_->content.size() || out.size() > file_->content.size() - offset) {
        throw StoreError(ErrorKind::kCorrupt, path_ + " ends too early");
      }
      std::copy_n(reinterpret_cast<const std::byte*>(file_->content.data()) + offset, out.size(), out.data());
    }
    [[nodiscard]] std::uint64_t size() const override {
      const std::lock_guard lock(mutex_);
      return file_->content.size();
    }

   private:
    std::string path_;
    std::shared_ptr<File> file_;
    std::mutex& mutex_;
  };

  class Writable : public WritableFile {
   public:
    Writable(FaultEnv& env, std::string path, std::shared_ptr<File> file)
        : env_(env), path_(std::move(path)), file_(std::move(file)) {}
    void append(std::span<const std::byte> data) override {
      const std::lock_guard lock(env_.mutex_);
      const auto* chars = reinterpret_cast<const char*>(data.data());
      if (env_.operations_ == env_.fail_at_) file_->content.append(chars, data.size() / 2);
      env_.operation(path_);
      file_->content.append(chars, data.size());
    }
    void sync() override {
      const std::lock_guard lock(env_.mutex_);
      env_.operation(path_);
      file_->synced = file_->content.size();
    }
    void close() override {
      const std::lock_guard lock(env_.mutex_);
      env_.operation(path_);
    }

   private:
    FaultEnv& env_;
    std::string path_;
    std::shared_ptr<File> file_;
  };

  void operation(const std::string& path) {
    const std::uint64_t number = operations_++;
    if (number == fail_at_ || (crash_ && number > fail_at_)) throw StoreError(kind_, "fault injected at " + path);
  }
  std::shared_ptr<File> find(const std::string& path) {
    const auto found = names_.find(path);
    if (found == names_.end()) throw StoreError(ErrorKind::kNotFound, "no file " + path);
    return found->second;
  }

  std::mutex mutex_;
  std::uint64_t operations_ = 0;
  std::uint64_t fail_at_ = kNever;
  ErrorKind kind_ = ErrorKind::kIo;
  bool crash_ = false;
  std::map<std::string, std::shared_ptr<File>> names_;
  std::map<std::string, std::shared_ptr<File>> durable_names_;
};

}  // namespace strata::testing
