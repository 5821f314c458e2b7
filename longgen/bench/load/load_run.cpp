#include "longgen/bench/load/load_run.h"

#include <algorithm>
#include <ctime>

namespace longgen {
namespace {

double thread_cpu_seconds() {
  timespec time = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class LoadRun {
 public:
  LoadRun(HttpClient& client, RequestRunner& runner, const std::vector<PlannedRequest>& requests,
          const LoadRunOptions& options)
      : client_(client), runner_(runner), requests_(requests), options_(options) {}

  void run() {
    send_due();
    client_.run_until([this] { return is_over() || options_.stops(); });
    is_stopped_ = true;
    client_.wake_never();
    runner_.stop_all();
  }

 private:
  int64_t num_sent() const { return static_cast<int64_t>(runner_.num_started()); }
  bool is_over() const { return num_sent() == std::ssize(requests_) && runner_.num_open() == 0; }
  bool has_room() const {
    return !options_.concurrency || runner_.num_open() < *options_.concurrency;
  }

  void send_due() {
    while (!is_stopped_ && num_sent() < std::ssize(requests_) && has_room()) {
      const PlannedRequest& next = requests_[runner_.num_started()];
      if (next.due_seconds > runner_.now()) {
        return client_.wake_at(runner_.time_of(next.due_seconds), [this] { send_due(); });
      }
      runner_.start(next, [this] { ended(); });
    }
  }

  void ended() {
    options_.on_progress(num_sent() - runner_.num_open());
    send_due();
  }

  HttpClient& client_;
  RequestRunner& runner_;
  const std::vector<PlannedRequest>& requests_;
  const LoadRunOptions& options_;
  bool is_stopped_ = false;
};

}  // namespace

LoadResult run_load(HttpClient& client, const RequestForm& form, const PromptMaker& prompts,
                    const std::vector<PlannedRequest>& requests, const LoadRunOptions& options) {
  const double cpu = thread_cpu_seconds();
  RequestRunner runner(client, form, prompts);
  LoadRun(client, runner, requests, options).run();
  LoadResult result{.records = runner.records()};
  result.cpu_seconds = thread_cpu_seconds() - cpu;
  result.num_unsent = std::ssize(requests) - std::ssize(result.records);
  if (result.records.empty()) return result;
  double last = 0;
  for (const RequestRecord& record : result.records) last = std::max(last, record.ended);
  result.seconds = last - result.records.front().begun;
  return result;
}

}  // namespace longgen
