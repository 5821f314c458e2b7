// serve/worker_pool.h: threads for work that must not hold up those who ask for it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace longgen {

/// Jobs wait in a queue with a bound, first come, first served.
class WorkerPool {
 public:
  /// A job must not throw.
  using Job = std::function<void()>;

  /// Throws Error unless both are at least 1.
  WorkerPool(int64_t num_threads, int64_t max_waiting);
  /// Lets jobs that are being done end, and drops those that wait.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// From any thread, without waiting. False where too many jobs wait already.
  [[nodiscard]] bool add(Job job);

 private:
  void work();

  const int64_t max_waiting_;
  std::mutex mutex_;
  std::condition_variable has_come_;
  std::deque<Job> waiting_;
  bool ends_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace longgen
