// serve/http/io_thread.h: a thread that sockets belong to.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace longgen::http {

/// Takes work for an io thread from any other one, also when that has ended: then it does nothing.
class Inbox {
 public:
  explicit Inbox(boost::asio::io_context* context) : context_(context) {}
  void post(std::function<void()> work);
  void close();

 private:
  std::mutex mutex_;
  boost::asio::io_context* context_;
};

/// Runs the handlers of an io_context until it is destroyed. No signal is delivered to it: they are
/// the program's. An exception that reaches it is written to the log.
class IoThread {
 public:
  IoThread();
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  boost::asio::io_context& context() { return context_; }
  const std::shared_ptr<Inbox>& inbox() const { return inbox_; }
  /// Ends the thread; what waits in it is not done.
  void stop();

 private:
  void run();

  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::shared_ptr<Inbox> inbox_;
  std::thread thread_;
};

}  // namespace longgen::http
