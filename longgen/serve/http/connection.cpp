#include "longgen/serve/http/connection.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <utility>

#include "longgen/base/ascii.h"
#include "longgen/base/log.h"

namespace longgen::http {
namespace {

using boost::system::error_code;
using openai::ApiError;

// Of requests that a client sends before it has the answer to the first. More waits in the system,
// and such a client that goes is noticed when something is written to it.
constexpr size_t kMaxWaitingBytes = 64 << 10;

constexpr size_t kReadBytes = 16 << 10;

constexpr const char* kComment = ": keep-alive\n\n";

std::string_view bearer_key(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (ascii_lower(authorization.substr(0, kScheme.size())) != kScheme) return {};
  authorization.remove_prefix(kScheme.size());
  const size_t begin = std::min(authorization.find_first_not_of(' '), authorization.size());
  return authorization.substr(begin);
}

}  // namespace

Connection::Connection(boost::asio::ip::tcp::socket socket, std::string client,
                       const ConnectionHost& host)
    : host_(host),
      limits_(host.options.limits),
      socket_(std::move(socket)),
      client_(std::move(client)),
      read_timer_(socket_.get_executor()),
      write_timer_(socket_.get_executor()),
      block_(kReadBytes, '\0') {
  clear_request();
}

// A fault here costs this connection and no other one.
template <typename Action>
void Connection::guarded(Action action) {
  if (!is_open_) return;
  try {
    action();
  } catch (const std::exception& error) {
    log_warning(std::string("HTTP server: internal error: ") + error.what());
    lose();
  }
}

void Connection::arm(Timer& timer, double seconds, void (Connection::*then)()) {
  timer.expires_after(
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
  timer.async_wait([self = shared_from_this(), &timer, then](const error_code& error) {
    // A timer that was set anew when its time was over already has this called all the same.
    if (error || timer.expiry() > Clock::now()) return;
    self->guarded([&] { (*self.*then)(); });
  });
}

// Timers that are only cancelled may have their handler called all the same, see above.
void Connection::disarm(Timer& timer) { timer.expires_at(Clock::time_point::max()); }

void Connection::start() {
  arm(read_timer_, limits_.header_seconds, &Connection::on_late);
  read();
}

void Connection::read() {
  const bool is_full = reply_ && !is_discarding_ && in_.size() >= kMaxWaitingBytes;
  if (is_reading_ || has_read_all_ || is_full) return;
  is_reading_ = true;
  socket_.async_read_some(boost::asio::buffer(block_),
                          [self = shared_from_this()](const error_code& error, size_t size) {
                            self->guarded([&] { self->on_read(error, size); });
                          });
}

void Connection::on_read(const error_code& error, size_t size) {
  is_reading_ = false;
  if (error) return on_end(error == boost::asio::error::eof);
  if (!is_discarding_) {
    in_.append(block_, 0, size);
    if (!reply_) parse();
  }
  if (is_open_) read();
}

// Who closes its side while it waits for an answer has gone, unless it is told why it gets none.
void Connection::on_end(bool is_half_open) {
  has_read_all_ = true;
  if (is_half_open && reply_ && is_discarding_) return;
  if (!is_half_open || reply_ || !has_begun_) return lose();
  refuse(ApiError(400, "HTTP request: the connection was closed in the middle of it.", "",
                  "invalid_http_request"));
}

void Connection::clear_request() {
  parser_ =
      std::make_unique<RequestParser>(RequestLimits{limits_.header_bytes, limits_.body_bytes});
  began_at_ = Clock::now();
  last_body_bytes_ = 0;
  key_name_.clear();
  form_ = {};
  status_ = 0;
  is_stream_ = is_chunked_ = is_last_ = false;
  num_body_bytes_ = 0;
}

void Connection::parse() {
  try {
    while (!in_.empty() && !reply_) {
      if (!has_begun_) {
        clear_request();
        has_begun_ = true;
        arm(read_timer_, limits_.header_seconds, &Connection::on_late);
      }
      const bool had_head = parser_->has_head();
      const size_t used = parser_->feed(in_);
      in_.erase(0, used);
      hold_body();
      if (!had_head && parser_->has_head()) check_head();
      if (parser_->is_done()) return dispatch();
      if (used == 0) return;
    }
  } catch (const ApiError& error) {
    refuse(error);
  }
}

void Connection::check_head() {
  const RequestHead& head = parser_->head();
  form_ = {head.is_http_1_0, head.method == "HEAD", head.keeps_alive};
  check_key(head);
  if (parser_->is_done()) return;
  arm(read_timer_, limits_.body_seconds, &Connection::on_body_time);
  if (head.expects_continue && in_.empty()) write("HTTP/1.1 100 Continue\r\n\r\n", "", 0);
}

void Connection::check_key(const RequestHead& head) {
  const ServerOptions& options = host_.options;
  const auto& open = options.open_paths;
  if (options.keys.empty() || std::find(open.begin(), open.end(), head.path) != open.end()) return;
  const auto name = options.keys.name_of(bearer_key(head.authorization));
  if (!name) {
    throw ApiError(401,
                   head.authorization.empty()
                       ? "this server needs an API key, as \"Authorization: Bearer KEY\"."
                       : "the API key is none of this server's.",
                   "", "invalid_api_key");
  }
  key_name_ = *name;
}

void Connection::hold_body() {
  const int64_t more = parser_->body_bytes() - held_bytes_;
  held_bytes_ += more;
  if ((host_.held_body_bytes += more) <= limits_.all_bodies_bytes) return;
  throw ApiError(503, "the server holds as many bytes of requests as it may; try again later.", "",
                 "server_busy");
}

void Connection::on_late() {
  if (!has_begun_) return lose();
  refuse(ApiError(408, "HTTP request: its headers did not come in time.", "", "request_timeout"));
}

void Connection::on_body_time() {
  const int64_t come = parser_->body_bytes() - last_body_bytes_;
  last_body_bytes_ += come;
  const double expected = static_cast<double>(limits_.body_bytes_per_second) * limits_.body_seconds;
  if (static_cast<double>(come) >= expected) {
    return arm(read_timer_, limits_.body_seconds, &Connection::on_body_time);
  }
  refuse(ApiError(408,
                  "HTTP request: its body came slower than " +
                      std::to_string(limits_.body_bytes_per_second) + " bytes a second.",
                  "", "request_timeout"));
}

std::shared_ptr<Reply> Connection::make_reply() {
  return std::make_shared<Reply>(Reply::Marks{limits_.high_mark_bytes, limits_.low_mark_bytes},
                                 [inbox = host_.inbox, weak = weak_from_this()] {
                                   inbox->post([weak] {
                                     if (const auto self = weak.lock())
                                       self->guarded([&] { self->flush(); });
                                   });
                                 });
}

void Connection::refuse(const ApiError& error) {
  is_discarding_ = true;
  in_.clear();
  disarm(read_timer_);
  form_.keeps_alive = false;
  reply_ = make_reply();
  reply_->fail(error);
  read();
}

void Connection::dispatch() {
  disarm(read_timer_);
  const RequestHead& head = parser_->head();
  HttpRequest request{head.method,          head.path, head.query,
                      parser_->take_body(), key_name_, head.traceparent,
                      head.user_agent,      client_,   head.if_none_match};
  reply_ = make_reply();
  const std::shared_ptr<Reply> reply = reply_;
  const std::shared_ptr<Exchange> exchange(reply.get(), [reply](Exchange*) {
    reply->fail(ApiError(500, "the server let the request go without an answer."));
  });
  try {
    host_.handler(std::move(request), exchange);
  } catch (const ApiError& error) {
    reply->fail(error);
  } catch (const std::exception& error) {
    log_warning(std::string("HTTP server: ") + head.path + ": " + error.what());
    reply->fail(ApiError(500, std::string("internal error: ") + error.what()));
  }
}

void Connection::flush() {
  if (!reply_) return;
  reply_->look();
  if (is_writing_) return;
  Reply::Words words = reply_->take();
  std::string before;
  if (words.head) {
    status_ = words.head->status;
    is_stream_ = !words.head->length;
    is_chunked_ = form_.is_chunked(*words.head);
    form_.keeps_alive &= !is_ending_ && (!is_stream_ || !form_.is_http_1_0);
    before = written_head(*words.head, form_);
  }
  is_last_ = words.is_last;
  // Without the end of its chunks, nobody takes a part of the stream for the whole.
  if (words.is_broken) form_.keeps_alive = false;
  const auto size = static_cast<int64_t>(words.bytes.size());
  if (form_.is_head) {
    if (is_stream_) reply_->wrote(size);
    words.bytes.clear();
  } else {
    num_body_bytes_ += size;
  }
  if (is_chunked_) before += make_chunk(words.bytes, is_last_ && !words.is_broken);
  write(std::move(before), std::move(words.bytes), is_stream_ && !form_.is_head ? size : 0);
}

void Connection::write(std::string before, std::string bytes, int64_t num_stream_bytes) {
  before_ = std::move(before);
  bytes_ = std::move(bytes);
  num_written_ = 0;
  num_stream_bytes_ = num_stream_bytes;
  if (!before_.empty() || !bytes_.empty()) {
    is_writing_ = true;
    return write_some();
  }
  if (reply_ && is_last_) return finish();
  if (reply_ && is_stream_) {
    arm(write_timer_, host_.options.keep_awake_seconds, &Connection::on_quiet);
  }
}

void Connection::write_some() {
  const size_t in_before = std::min(num_written_, before_.size());
  const std::array<boost::asio::const_buffer, 2> rest = {
      boost::asio::buffer(before_) + in_before,
      boost::asio::buffer(bytes_) + (num_written_ - in_before)};
  arm(write_timer_, limits_.write_seconds, &Connection::lose);
  socket_.async_write_some(rest, [self = shared_from_this()](const error_code& error, size_t size) {
    self->guarded([&] { self->on_written(error, size); });
  });
}

void Connection::on_written(const error_code& error, size_t size) {
  if (error) return lose();
  num_written_ += size;
  const bool is_done = num_written_ == before_.size() + bytes_.size();
  // What frames the stream's bytes is counted as some of them; at the end the sum is right.
  const int64_t taken =
      is_done ? num_stream_bytes_ : std::min(num_stream_bytes_, static_cast<int64_t>(size));
  num_stream_bytes_ -= taken;
  if (taken > 0) reply_->wrote(taken);
  if (!is_done) return write_some();
  is_writing_ = false;
  before_.clear();
  bytes_ = {};
  disarm(write_timer_);
  if (reply_ && is_last_) return finish();
  flush();
}

void Connection::on_quiet() {
  if (!reply_ || is_writing_ || form_.is_head) return;
  std::string comment = kComment;
  std::string before = is_chunked_ ? make_chunk(comment, false) : "";
  write(std::move(before), std::move(comment), 0);
}

void Connection::log(Notes notes, bool is_gone) {
  host_.held_body_bytes -= std::exchange(held_bytes_, 0);
  if (!host_.options.access_log) return;
  const std::chrono::duration<double> taken = Clock::now() - began_at_;
  const RequestHead& head = parser_->head();
  AccessRecord record{
      .time = std::chrono::system_clock::now() -
              std::chrono::duration_cast<std::chrono::system_clock::duration>(taken),
      .client = client_,
      .key_name = key_name_,
      .method = head.method,
      .path = head.path,
      .traceparent = head.traceparent,
      .status = status_ == 0 ? 499 : status_,
      .is_gone = is_gone,
      .bytes = num_body_bytes_,
      .seconds = taken.count(),
      .notes = std::move(notes)};
  host_.options.access_log(record);
}

void Connection::finish() {
  const std::shared_ptr<Reply> reply = std::exchange(reply_, nullptr);
  log(reply->close(), false);
  has_begun_ = false;
  disarm(write_timer_);
  if (!form_.keeps_alive || is_ending_) return linger();
  arm(read_timer_, limits_.idle_seconds, &Connection::lose);
  parse();
  if (is_open_) read();
}

// A socket that is closed while bytes of the client wait in it takes the answer back. So the client
// is told the end, and may read and close itself.
void Connection::linger() {
  is_discarding_ = true;
  in_.clear();
  error_code ignored;
  socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
  if (has_read_all_) return lose();
  arm(read_timer_, limits_.linger_seconds, &Connection::lose);
  read();
}

void Connection::end_soon() {
  is_ending_ = true;
  if (!has_begun_ && !reply_ && !is_discarding_) lose();
}

void Connection::lose() {
  if (!std::exchange(is_open_, false)) return;
  const std::shared_ptr<Connection> self = shared_from_this();
  error_code ignored;
  socket_.close(ignored);
  disarm(read_timer_);
  disarm(write_timer_);
  host_.forget(*this);
  const std::shared_ptr<Reply> reply = std::exchange(reply_, nullptr);
  if (reply) {
    log(reply->lose(), true);
  } else {
    host_.held_body_bytes -= std::exchange(held_bytes_, 0);
  }
}

}  // namespace longgen::http
