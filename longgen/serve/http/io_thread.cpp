#include "longgen/serve/http/io_thread.h"

#include <signal.h>

#include <boost/asio/post.hpp>
#include <exception>
#include <string>
#include <utility>

#include "longgen/base/log.h"

namespace longgen::http {

void Inbox::post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (context_) boost::asio::post(*context_, std::move(work));
}

void Inbox::close() {
  const std::lock_guard lock(mutex_);
  context_ = nullptr;
}

IoThread::IoThread() : work_(context_.get_executor()), inbox_(std::make_shared<Inbox>(&context_)) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // a thread begins with its maker's mask
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

IoThread::~IoThread() { stop(); }

void IoThread::stop() {
  inbox_->close();
  context_.stop();
  if (thread_.joinable()) thread_.join();
}

void IoThread::run() {
  while (!context_.stopped()) {
    try {
      context_.run();
    } catch (const std::exception& error) {
      log_warning(std::string("HTTP server: internal error: ") + error.what());
    }
  }
}

}  // namespace longgen::http
