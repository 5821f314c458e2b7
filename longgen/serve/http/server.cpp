#include "longgen/serve/http/server.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/serve/http/connection.h"
#include "longgen/serve/http/io_thread.h"
#include "longgen/serve/http/listen.h"
#include "longgen/serve/openai/api_error.h"

namespace longgen::http {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

// Connections over the limit that are told so; those over this are closed without a word.
constexpr int64_t kMaxRefused = 64;
// Files that the program may have open beside connections.
constexpr int64_t kOtherFiles = 512;
// Whoever connects must not keep the thread from those who are connected.
constexpr int kAcceptedAtOnce = 64;
constexpr auto kRetryAccept = std::chrono::milliseconds(100);

tcp protocol_of(const ListeningSocket& socket) { return socket.is_ipv6 ? tcp::v6() : tcp::v4(); }

}  // namespace

class Server::Impl {
 public:
  Impl(ServerOptions options, Handler handler);
  ~Impl() { stop(0); }

  const ListeningSocket& listening() const { return listening_; }
  int64_t num_connections() const { return num_connections_; }
  void stop(double seconds);

 private:
  /// An io thread with its connections, which only it touches.
  struct Worker {
    IoThread thread = {};
    std::unordered_map<Connection*, std::shared_ptr<Connection>> connections = {};
  };

  // On the first worker's thread.
  void wait_for_connections();
  void accept_all();
  void take(const AcceptedSocket& accepted);
  void close_acceptor();
  // On the worker's thread.
  void begin(Worker& worker, const AcceptedSocket& accepted, bool is_refused);
  void forget(Worker& worker, Connection& connection);
  // On any thread.
  void each_connection(void (Connection::*action)());

  const ServerOptions options_;
  const Handler handler_;
  ListeningSocket listening_;
  std::atomic<int64_t> num_connections_ = 0, held_body_bytes_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
  size_t next_worker_ = 0;
  std::unique_ptr<tcp::acceptor> acceptor_;
  std::unique_ptr<boost::asio::steady_timer> retry_;

  std::mutex stop_mutex_, empty_mutex_;
  std::condition_variable empty_;
  bool is_stopped_ = false;
};

Server::Impl::Impl(ServerOptions options, Handler handler)
    : options_(std::move(options)), handler_(std::move(handler)) {
  LG_CHECK(options_.io_threads >= 1 && options_.io_threads <= 64,
           "io_threads: expected 1 to 64, found ", options_.io_threads, ".");
  LG_CHECK(options_.keep_awake_seconds > 0, "keep_awake_seconds: expected more than 0, found ",
           options_.keep_awake_seconds, ".");
  listening_ = listen_on(options_.host, options_.port);
  allow_open_files(options_.limits.connections + kMaxRefused + kOtherFiles);
  for (int64_t i = 0; i < options_.io_threads; ++i) workers_.push_back(std::make_unique<Worker>());
  boost::asio::io_context& context = workers_[0]->thread.context();
  acceptor_ = std::make_unique<tcp::acceptor>(context, protocol_of(listening_), listening_.fd);
  retry_ = std::make_unique<boost::asio::steady_timer>(context);
  workers_[0]->thread.inbox()->post([this] { wait_for_connections(); });
}

void Server::Impl::wait_for_connections() {
  acceptor_->async_wait(tcp::acceptor::wait_read, [this](const error_code& error) {
    if (!error && acceptor_->is_open()) accept_all();
  });
}

void Server::Impl::accept_all() {
  NoSocket why = NoSocket::none_waits;
  for (int i = 0; i < kAcceptedAtOnce; ++i) {
    const auto accepted = accept_from(listening_.fd, why);
    if (!accepted) break;
    take(*accepted);
  }
  if (why == NoSocket::none_waits) return wait_for_connections();
  // The connection that waits would wake this at once again and again.
  retry_->expires_after(kRetryAccept);
  retry_->async_wait([this](const error_code& error) {
    if (!error && acceptor_->is_open()) wait_for_connections();
  });
}

void Server::Impl::take(const AcceptedSocket& accepted) {
  const int64_t number = ++num_connections_;
  const int64_t limit = options_.limits.connections;
  if (number > limit + kMaxRefused) {
    --num_connections_;
    ::close(accepted.fd);
    return;
  }
  Worker& worker = *workers_[next_worker_++ % workers_.size()];
  worker.thread.inbox()->post([this, &worker, accepted, is_refused = number > limit] {
    begin(worker, accepted, is_refused);
  });
}

void Server::Impl::begin(Worker& worker, const AcceptedSocket& accepted, bool is_refused) {
  tcp::socket socket(worker.thread.context(), protocol_of(listening_), accepted.fd);
  const ConnectionHost host{options_, handler_, worker.thread.inbox(), held_body_bytes_,
                            [this, &worker](Connection& ended) { forget(worker, ended); }};
  const auto connection = std::make_shared<Connection>(std::move(socket), accepted.client, host);
  worker.connections.emplace(connection.get(), connection);
  if (!is_refused) return connection->start();
  connection->refuse(openai::ApiError(
      503, "the server has as many connections as it may; try again later.", "", "server_busy"));
}

void Server::Impl::forget(Worker& worker, Connection& connection) {
  worker.connections.erase(&connection);
  // With the mutex, or stop() could look before and begin to wait after.
  const std::lock_guard lock(empty_mutex_);
  if (--num_connections_ == 0) empty_.notify_all();
}

void Server::Impl::each_connection(void (Connection::*action)()) {
  for (const auto& worker : workers_) {
    worker->thread.inbox()->post([action, &worker = *worker] {
      // A copy: those that end forget themselves.
      const auto connections = worker.connections;
      for (const auto& [_, connection] : connections) (*connection.*action)();
    });
  }
}

void Server::Impl::close_acceptor() {
  error_code ignored;
  acceptor_->close(ignored);
  retry_->cancel();
  // Behind the connections that were taken before.
  each_connection(&Connection::end_soon);
}

void Server::Impl::stop(double seconds) {
  const std::lock_guard stop_lock(stop_mutex_);
  if (std::exchange(is_stopped_, true)) return;
  std::unique_lock lock(empty_mutex_);
  bool is_closed = false;
  workers_[0]->thread.inbox()->post([this, &is_closed] {
    close_acceptor();
    const std::lock_guard closed_lock(empty_mutex_);
    is_closed = true;
    empty_.notify_all();
  });
  empty_.wait(lock, [&] { return is_closed; });
  const auto is_empty = [this] { return num_connections_ == 0; };
  if (!empty_.wait_for(lock, std::chrono::duration<double>(seconds), is_empty)) {
    each_connection(&Connection::lose);
    empty_.wait(lock, is_empty);
  }
  lock.unlock();
  for (const auto& worker : workers_) worker->thread.stop();
}

Server::Server(ServerOptions options, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler))) {}
Server::~Server() = default;

int Server::port() const { return impl_->listening().port; }
std::string Server::address() const { return impl_->listening().address; }
int64_t Server::num_connections() const { return impl_->num_connections(); }
void Server::stop(double seconds) { impl_->stop(seconds); }

}  // namespace longgen::http
