#include "longgen/serve/engine_loop.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/ScopeExit.h>

#include <algorithm>
#include <utility>

namespace longgen {
namespace {

template <typename... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

}  // namespace

EngineLoop::EngineLoop(const Decoder& decoder, const ServingOptions& options, OnEvents on_events)
    : core_(decoder, options), on_events_(std::move(on_events)), state_(core_.state()) {
  thread_ = std::thread([this] { run(); });
}

EngineLoop::~EngineLoop() {
  mailbox_.post(Stop{});
  thread_.join();
}

void EngineLoop::post(EngineMessage message) {
  mailbox_.post(OfRequest{std::move(message), core_.now()});
}

EngineState EngineLoop::state() const {
  EngineState state;
  {
    const std::lock_guard lock(state_mutex_);
    state = state_;
  }
  for (const RunningRequest& request : state.running) {
    state.read_kinds += core_.pages_read(request.num_tokens);
    state.full_bytes += core_.full_bytes(request.num_tokens);
  }
  return state;
}

RequestMetrics EngineLoop::metrics() const {
  const std::lock_guard lock(state_mutex_);
  return metrics_;
}

void EngineLoop::drain(double seconds) {
  mailbox_.post(Drain{seconds});
  std::unique_lock lock(state_mutex_);
  state_changed_.wait(lock, [this] {
    return state_.phase == EnginePhase::failed ||
           (state_.phase == EnginePhase::draining && state_.num_running + state_.num_waiting == 0);
  });
}

void EngineLoop::run() {
  // What a thread has of its own: the device, and how many threads help it.
  const at::Device device = core_.decoder().device();
  c10::OptionalDeviceGuard guard;
  if (device.is_cuda()) guard.reset_device(device);
  at::init_num_threads();
  const at::NoGradGuard no_grad;
  try {
    core_.calibrate();
    phase_ = EnginePhase::ready;
    serve();
    return;
  } catch (const std::exception& error) {
    failure_ = error.what();
  } catch (...) {
    failure_ = "an exception of unknown type";
  }
  phase_ = EnginePhase::failed;
  core_.fail_all(failure_);
  refuse_all();
}

void EngineLoop::serve() {
  for (;;) {
    read_mail();
    const bool is_late = drain_end_ && core_.now() >= *drain_end_;
    if (stops_ || is_late) core_.cancel_all();
    const double early = core_.seconds_until_plan();
    if (early > 0 && !stops_) {
      publish();
      mailbox_.wait(early);
      continue;
    }
    const bool works = core_.plan();
    publish();
    if (stops_) return;
    if (works || core_.is_in_flight()) {
      core_.run([this](int64_t) { return goes_on(); });
      publish();
    } else if (drain_end_ && core_.num_requests() > 0) {
      mailbox_.wait(*drain_end_ - core_.now());
    } else {
      mailbox_.wait(std::nullopt);
    }
  }
}

/// What a failed engine does until it is told to go.
void EngineLoop::refuse_all() {
  for (;;) {
    read_mail();
    try {
      publish();
    } catch (...) {
      // Who is told has failed too; those who ask for the state can see why.
    }
    if (stops_) return;
    mailbox_.wait(std::nullopt);
  }
}

void EngineLoop::collect_mail() {
  for (Message& message : mailbox_.take()) pending_.push_back(std::move(message));
}

void EngineLoop::read_mail() {
  collect_mail();
  while (!pending_.empty()) {
    // Off the list first: a message that cannot be dealt with must not come again.
    Message message = std::move(pending_.front());
    pending_.pop_front();
    take(std::move(message));
  }
}

void EngineLoop::take(Message message) {
  std::visit(Overloaded{[this](OfRequest& of_request) { take_of_request(of_request); },
                        [this](const Drain& drain) {
                          const double end = core_.now() + drain.seconds;
                          drain_end_ = std::min(drain_end_.value_or(end), end);
                          if (phase_ != EnginePhase::failed) phase_ = EnginePhase::draining;
                        },
                        [this](const Stop&) { stops_ = true; }},
             message);
}

void EngineLoop::take_of_request(OfRequest& of_request) {
  auto& [message, posted] = of_request;
  if (phase_ == EnginePhase::failed) {
    const auto* const submit = std::get_if<Submit>(&message);
    if (submit != nullptr) core_.refuse(submit->request.id, failure_);
    return;
  }
  std::visit(Overloaded{[&, seconds = posted](Submit& submit) {
                          if (phase_ == EnginePhase::draining) {
                            core_.refuse(submit.request.id, "The server is shutting down.");
                          } else {
                            core_.submit(std::move(submit), seconds);
                          }
                        },
                        [this](const Cancel& cancel) { core_.cancel(cancel); },
                        [this](const Pause& pause) { core_.pause(pause.request); },
                        [this](const Resume& resume) { core_.resume(resume.request); }},
             message);
}

/// Does anybody still wait for the step under way?
bool EngineLoop::goes_on() {
  if (mailbox_.is_empty()) return true;
  collect_mail();
  const auto ends = [](const Message& message, RequestId request) {
    if (std::holds_alternative<Stop>(message)) return true;
    const auto* const of_request = std::get_if<OfRequest>(&message);
    if (of_request == nullptr) return false;
    const auto* const cancel = std::get_if<Cancel>(&of_request->message);
    return cancel != nullptr && cancel->request == request;
  };
  return std::any_of(core_.planned().begin(), core_.planned().end(), [&](const StepPart& part) {
    return std::none_of(pending_.begin(), pending_.end(),
                        [&](const Message& message) { return ends(message, part.request); });
  });
}

/// Tells what has happened, then how things are: who sees that all requests have ended has been
/// told so.
void EngineLoop::publish() {
  const auto publish_state = c10::make_scope_exit([this] {
    EngineState state = core_.state();  // before the others must wait
    state.phase = phase_;
    state.failure = failure_;
    const std::lock_guard lock(state_mutex_);
    state_ = std::move(state);
    metrics_ = core_.metrics();
    state_changed_.notify_all();
  });
  std::vector<EngineEvent> events = core_.take_events();
  if (!events.empty()) on_events_(std::move(events));
}

}  // namespace longgen
