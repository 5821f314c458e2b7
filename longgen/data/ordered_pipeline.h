// data/ordered_pipeline.h: one producer thread, several workers, results in the producer's order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace longgen {

/// Runs the three stages. What stands between producer and consumer is bounded by the items' cost,
/// so that memory stays constant whichever is the slow one. An exception in the producer or a
/// worker comes out of next() at the place of the item it belongs to, so the first error is the
/// same for every number of threads. The destructor stops and joins the threads, finished or not.
template <typename Item, typename Result>
class OrderedPipeline {
 public:
  struct Stages {
    /// Gives the next item. Called on one thread until it returns nothing.
    std::function<std::optional<Item>()> produce;
    /// Gives what an item counts against max_cost, in bytes. One item may always enter.
    std::function<int64_t(const Item&)> cost;
    /// Makes an item's result. Called on all workers at once; `worker` counts from 0.
    std::function<Result(Item&&, int worker)> work;
  };

  OrderedPipeline(Stages stages, int num_workers, int64_t max_cost)
      : stages_(std::move(stages)), max_cost_(max_cost) {
    try {
      threads_.emplace_back([this] { run_producer(); });
      for (int i = 0; i < num_workers; ++i) threads_.emplace_back([this, i] { run_worker(i); });
    } catch (...) {  // no more threads to be had: the destructor of a half-built object never runs
      stop();
      throw;
    }
  }
  ~OrderedPipeline() { stop(); }
  OrderedPipeline(const OrderedPipeline&) = delete;
  OrderedPipeline& operator=(const OrderedPipeline&) = delete;

  /// Returns the next result, and nothing after the last one. Called by one thread.
  std::optional<Result> next() {
    std::unique_lock lock(mutex_);
    done_changed_.wait(lock,
                       [this] { return order_.empty() ? produced_all_ : order_.front()->done; });
    if (order_.empty()) return std::nullopt;
    const std::shared_ptr<Slot> slot = std::move(order_.front());
    order_.pop_front();
    pending_cost_ -= slot->cost;
    lock.unlock();
    room_changed_.notify_one();
    if (slot->error) std::rethrow_exception(slot->error);
    return std::move(slot->result);
  }

 private:
  struct Slot {
    std::optional<Item> item;
    std::optional<Result> result;
    std::exception_ptr error;
    int64_t cost = 0;
    bool done = false;
  };

  void run_producer() {
    bool more = true;
    while (more) {
      auto slot = std::make_shared<Slot>();
      try {
        slot->item = stages_.produce();
        if (slot->item) slot->cost = stages_.cost(*slot->item);
      } catch (...) {
        slot->error = std::current_exception();
        slot->item.reset();
      }
      more = slot->item.has_value();
      slot->done = !more;
      std::unique_lock lock(mutex_);
      room_changed_.wait(
          lock, [this] { return stopped_ || order_.empty() || pending_cost_ < max_cost_; });
      if (stopped_) return;
      pending_cost_ += slot->cost;
      if (more) todo_.push_back(slot);
      if (more || slot->error) order_.push_back(std::move(slot));
      produced_all_ = !more;
      lock.unlock();
      more ? todo_changed_.notify_one() : todo_changed_.notify_all();
      if (!more) done_changed_.notify_one();
    }
  }

  void run_worker(int worker) {
    for (;;) {
      std::unique_lock lock(mutex_);
      todo_changed_.wait(lock, [this] { return stopped_ || produced_all_ || !todo_.empty(); });
      if (stopped_ || todo_.empty()) return;
      const std::shared_ptr<Slot> slot = std::move(todo_.front());
      todo_.pop_front();
      lock.unlock();
      try {
        slot->result = stages_.work(*std::move(slot->item), worker);
      } catch (...) {
        slot->error = std::current_exception();
      }
      slot->item.reset();
      lock.lock();
      slot->done = true;
      lock.unlock();
      done_changed_.notify_one();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    room_changed_.notify_all();
    todo_changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  Stages stages_;
  const int64_t max_cost_;
  std::mutex mutex_;
  std::condition_variable room_changed_, todo_changed_, done_changed_;
  std::deque<std::shared_ptr<Slot>> order_;  // all that next() has not given out yet
  std::deque<std::shared_ptr<Slot>> todo_;   // those of them that no worker has taken
  int64_t pending_cost_ = 0;
  bool produced_all_ = false, stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace longgen
