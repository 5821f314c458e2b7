// A store for ranks that are threads of one process.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "longgen/base/check.h"
#include "longgen/dist/store.h"

namespace longgen {

class MemoryStore : public Store {
 public:
  void set(const std::string& key, const std::string& value) override {
    const auto lock = look();
    shared_->values[key] = value;
    shared_->changed.notify_all();
  }

  std::string get(const std::string& key, std::chrono::steady_clock::time_point deadline) override {
    auto lock = look();
    const bool found =
        shared_->changed.wait_until(lock, deadline, [&] { return shared_->values.contains(key); });
    LG_CHECK(found, "no ", key, " in time.");
    return shared_->values[key];
  }

  std::optional<std::string> find(const std::string& key) override {
    const auto lock = look();
    const auto found = shared_->values.find(key);
    return found == shared_->values.end() ? std::nullopt : std::optional(found->second);
  }

  std::vector<std::string> get_all(const std::vector<std::string>& keys) override {
    const auto lock = look();
    std::vector<std::string> values;
    for (const std::string& key : keys) values.push_back(shared_->values.at(key));
    return values;
  }

  std::string set_first(const std::string& key, const std::string& value) override {
    const auto lock = look();
    return shared_->values.try_emplace(key, value).first->second;
  }

  std::unique_ptr<Store> connect_again() const override {
    return std::make_unique<MemoryStore>(*this);
  }

  /// From now on the store answers with an Error, as one whose server has ended.
  void break_down() {
    const auto lock = look();
    shared_->broken = true;
  }

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, std::string> values;
    bool broken = false;
  };

  std::unique_lock<std::mutex> look() const {
    std::unique_lock lock(shared_->mutex);
    LG_CHECK(!shared_->broken, "the store is gone.");
    return lock;
  }

  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace longgen
