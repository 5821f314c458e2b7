// serve/http/connection.h: one client's connection: requests in, answers out, one after the other.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "longgen/serve/http/exchange.h"
#include "longgen/serve/http/io_thread.h"
#include "longgen/serve/http/options.h"
#include "longgen/serve/http/reply.h"
#include "longgen/serve/http/request_parser.h"

namespace longgen::http {

class Connection;

/// What a connection has of its server; outlives it.
struct ConnectionHost {
  const ServerOptions& options;
  const Handler& handler;
  std::shared_ptr<Inbox> inbox;             ///< of the connection's thread
  std::atomic<int64_t>& held_body_bytes;    ///< of all requests that are read or answered
  std::function<void(Connection&)> forget;  ///< called once, when the connection has ended
};

/// Everything here happens on the thread of the connection's socket. A read is always pending, so
/// that a client that goes is noticed while nothing is being sent; what it brings of a next request
/// waits.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, std::string client, const ConnectionHost& host);

  /// Begins to read requests.
  void start();
  /// Answers with the error whatever the client asks, and closes.
  void refuse(const openai::ApiError& error);
  /// Ends after the request that has begun, or at once where none has.
  void end_soon();
  /// Ends now; who watches the exchange is told that the client has gone.
  void lose();

 private:
  using Clock = std::chrono::steady_clock;
  using Timer = boost::asio::steady_timer;

  // Reading.
  void read();
  void on_read(const boost::system::error_code& error, size_t size);
  void on_end(bool is_half_open);
  void parse();
  void clear_request();
  void check_head();
  void check_key(const RequestHead& head);
  void hold_body();
  void on_late();
  void on_body_time();
  // Answering.
  std::shared_ptr<Reply> make_reply();
  void dispatch();
  void flush();
  void write(std::string before, std::string bytes, int64_t num_stream_bytes);
  void write_some();
  void on_written(const boost::system::error_code& error, size_t size);
  void on_quiet();
  void finish();
  void linger();
  void log(Notes notes, bool is_gone);

  void arm(Timer& timer, double seconds, void (Connection::*then)());
  void disarm(Timer& timer);
  template <typename Action>
  void guarded(Action action);

  ConnectionHost host_;
  const Limits& limits_;
  boost::asio::ip::tcp::socket socket_;
  std::string client_;
  Timer read_timer_, write_timer_;
  bool is_open_ = true, is_ending_ = false;

  std::string block_;  ///< where the next bytes are put
  std::string in_;     ///< read and not yet understood
  bool is_reading_ = false, has_read_all_ = false, is_discarding_ = false;

  // The request that is read or answered now.
  std::unique_ptr<RequestParser> parser_;
  bool has_begun_ = false;
  Clock::time_point began_at_ = {};
  int64_t held_bytes_ = 0, last_body_bytes_ = 0;
  std::string key_name_;
  std::shared_ptr<Reply> reply_;

  // Its answer.
  ResponseForm form_;
  int status_ = 0;
  bool is_stream_ = false, is_chunked_ = false, is_last_ = false;
  bool is_writing_ = false;
  std::string before_, bytes_;  ///< being written, one behind the other
  size_t num_written_ = 0;
  int64_t num_stream_bytes_ = 0;  ///< of those, how many are a stream's and not yet taken
  int64_t num_body_bytes_ = 0;
};

}  // namespace longgen::http
