#include "longgen/serve/worker_pool.h"

#include <utility>

#include "longgen/base/check.h"

namespace longgen {

WorkerPool::WorkerPool(int64_t num_threads, int64_t max_waiting) : max_waiting_(max_waiting) {
  LG_CHECK(num_threads >= 1 && max_waiting >= 1,
           "[serve] a pool needs threads and places to wait, found ", num_threads, " and ",
           max_waiting, ".");
  for (int64_t i = 0; i < num_threads; ++i) threads_.emplace_back([this] { work(); });
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  has_come_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::add(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (std::ssize(waiting_) >= max_waiting_) return false;
    waiting_.push_back(std::move(job));
  }
  has_come_.notify_one();
  return true;
}

void WorkerPool::work() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      has_come_.wait(lock, [this] { return ends_ || !waiting_.empty(); });
      if (ends_) return;
      job = std::move(waiting_.front());
      waiting_.pop_front();
    }
    job();
  }
}

}  // namespace longgen
