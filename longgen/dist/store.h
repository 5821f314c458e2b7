// dist/store.h: a few small values that all ranks of a run can write and read.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace longgen {

/// Used by one thread at a time: each takes its own connection. Everything throws Error where the
/// store does not answer.
class Store {
 public:
  virtual ~Store() = default;

  virtual void set(const std::string& key, const std::string& value) = 0;
  /// Waits until the key is there. Throws Error naming it at the deadline.
  virtual std::string get(const std::string& key,
                          std::chrono::steady_clock::time_point deadline) = 0;
  /// The value, if it is there.
  virtual std::optional<std::string> find(const std::string& key) = 0;
  /// The values of keys that are all there.
  virtual std::vector<std::string> get_all(const std::vector<std::string>& keys) = 0;
  /// Sets the value unless the key has one; gives the one that it then has.
  virtual std::string set_first(const std::string& key, const std::string& value) = 0;
  /// Another connection to the same store, for another thread.
  virtual std::unique_ptr<Store> connect_again() const = 0;
};

}  // namespace longgen
