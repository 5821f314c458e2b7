#include "longgen/bench/client/http_client.h"

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <map>

#include "longgen/base/check.h"

namespace longgen {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr auto kLook = std::chrono::milliseconds(100);
constexpr size_t kReadBytes = 64 << 10;
constexpr int64_t kMaxAnswerBytes = int64_t{1} << 30;  // of ask()

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

/// A connection for one call, which lives until the call has ended.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(asio::io_context& io, std::string request, std::shared_ptr<CallHandler> handler,
             double timeout_seconds, std::function<void()> on_end)
      : socket_(io),
        timer_(io),
        request_(std::move(request)),
        handler_(std::move(handler)),
        timeout_(duration_of(timeout_seconds)),
        on_end_(std::move(on_end)) {}

  void begin(const tcp::resolver::results_type& addresses) {
    watch();
    asio::async_connect(socket_, addresses,
                        [self = shared_from_this()](const error_code& error, const auto&) {
                          self->connected(error);
                        });
  }
  void cancel() { end(CallFault::cancelled, ""); }

 private:
  /// Ends the call if nothing happens until the next call of watch().
  void watch() {
    timer_.expires_after(timeout_);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error && Clock::now() >= self->timer_.expiry()) {
        self->end(CallFault::timeout, "the server sent nothing for so long.");
      }
    });
  }

  void connected(const error_code& error) {
    if (is_over_) return;
    if (error) return end(CallFault::connect, "cannot connect: " + error.message() + ".");
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    asio::async_write(socket_, asio::buffer(request_),
                      [self = shared_from_this()](const error_code& failed, size_t) {
                        // What the server says of a request that it did not read is read, too.
                        if (!failed) self->watch();
                        self->request_ = {};
                      });
    read();
  }

  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](const error_code& error, size_t size) {
                              const TimePoint now = Clock::now();
                              if (!self->is_over_) self->take(error, size, now);
                            });
  }

  void take(const error_code& error, size_t size, TimePoint now) {
    try {
      reader_.feed({buffer_.data(), size});
      tell(now);
      if (is_over_) return;
      if (reader_.is_done()) return end(CallFault::none, "", now);
      if (error == asio::error::eof) {
        reader_.end();
        return end(CallFault::none, "", now);
      }
      if (error) return end(CallFault::torn, "the connection broke: " + error.message() + ".", now);
    } catch (const Error& failure) {
      return end(error ? CallFault::torn : CallFault::malformed, failure.what(), now);
    }
    watch();
    read();
  }

  void tell(TimePoint now) {
    if (reader_.has_head() && !has_told_head_) {
      has_told_head_ = true;
      handler_->on_head(reader_.head());
    }
    const std::string body = reader_.take_body();
    if (!body.empty()) handler_->on_body(body, now);
  }

  void end(CallFault fault, const std::string& message, TimePoint now = Clock::now()) {
    if (is_over_) return;
    is_over_ = true;
    const auto self = shared_from_this();
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
    on_end_();
    handler_->on_end(fault, message, now);
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  std::string request_;
  std::shared_ptr<CallHandler> handler_;
  Clock::duration timeout_;
  std::function<void()> on_end_;
  ResponseReader reader_;
  std::array<char, kReadBytes> buffer_;
  bool has_told_head_ = false, is_over_ = false;
};

/// Keeps the answer of one call.
class AnswerKeeper : public CallHandler {
 public:
  void on_head(const ResponseHead& head) override { answer.head = head; }
  void on_body(std::string_view bytes, TimePoint) override {
    LG_CHECK(static_cast<int64_t>(answer.body.size() + bytes.size()) <= kMaxAnswerBytes,
             "the answer is longer than ", kMaxAnswerBytes, " bytes.");
    answer.body += bytes;
  }
  void on_end(CallFault how, const std::string& why, TimePoint) override {
    is_over = true;
    fault = how;
    message = why;
  }

  HttpAnswer answer;
  bool is_over = false;
  CallFault fault = CallFault::none;
  std::string message;
};

}  // namespace

class HttpClient::Impl {
 public:
  Impl(const ServerUrl& url, Options options) : url_(url), options_(std::move(options)) {
    error_code error;
    addresses_ = tcp::resolver(io_).resolve(url.host, url.port, error);
    LG_CHECK(!error, "the host ", url.host, " has no address: ", error.message(), ".");
  }

  CallId call(const HttpCall& call, std::shared_ptr<CallHandler> handler) {
    const CallId id = num_calls_++;
    const auto connection =
        std::make_shared<Connection>(io_, request_text(call), std::move(handler),
                                     options_.timeout_seconds, [this, id] { open_.erase(id); });
    open_[id] = connection;
    connection->begin(addresses_);
    return id;
  }
  void cancel(CallId id) {
    const auto found = open_.find(id);
    if (found != open_.end()) std::shared_ptr(found->second)->cancel();
  }
  void cancel_all() {
    while (!open_.empty()) cancel(open_.begin()->first);
  }

  void wake_at(TimePoint time, std::function<void()> what) {
    wake_timer_.expires_at(time);
    const int64_t number = ++num_wakes_;
    wake_timer_.async_wait([this, number, what = std::move(what)](const error_code& error) {
      // One that had fired when it was called off comes here, too.
      if (!error && number == num_wakes_) what();
    });
  }
  void wake_never() {
    ++num_wakes_;
    wake_timer_.cancel();
  }

  void run_until(const std::function<bool()>& is_done) {
    io_.restart();
    while (!is_done()) {
      io_.run_one_for(kLook);
      if (io_.stopped()) return;
    }
  }

  const ServerUrl& url() const { return url_; }

 private:
  std::string request_text(const HttpCall& call) const {
    std::string text = call.method + " " + url_.path + call.path +
                       " HTTP/1.1\r\nHost: " + url_.authority() +
                       "\r\nUser-Agent: longgen\r\nAccept: */*\r\nConnection: close\r\n";
    for (const auto& [name, value] : options_.headers) text += name + ": " + value + "\r\n";
    if (call.method == "POST") {
      text +=
          "Content-Type: application/json\r\nContent-Length: " + std::to_string(call.body.size()) +
          "\r\n";
    }
    return text + "\r\n" + call.body;
  }

  asio::io_context io_;
  asio::steady_timer wake_timer_{io_};
  int64_t num_wakes_ = 0;
  ServerUrl url_;
  Options options_;
  tcp::resolver::results_type addresses_;
  std::map<CallId, std::shared_ptr<Connection>> open_;
  CallId num_calls_ = 0;
};

HttpClient::HttpClient(const ServerUrl& url, Options options)
    : impl_(std::make_unique<Impl>(url, std::move(options))) {}
HttpClient::~HttpClient() = default;

HttpClient::CallId HttpClient::call(HttpCall call, std::shared_ptr<CallHandler> handler) {
  return impl_->call(call, std::move(handler));
}
void HttpClient::cancel(CallId id) { impl_->cancel(id); }
void HttpClient::cancel_all() { impl_->cancel_all(); }
void HttpClient::wake_at(TimePoint time, std::function<void()> what) {
  impl_->wake_at(time, std::move(what));
}
void HttpClient::wake_never() { impl_->wake_never(); }
void HttpClient::run_until(const std::function<bool()>& is_done) { impl_->run_until(is_done); }

HttpAnswer HttpClient::ask(HttpCall call) {
  const auto keeper = std::make_shared<AnswerKeeper>();
  const std::string what = call.method + " " + call.path;
  impl_->call(call, keeper);
  impl_->run_until([&] { return keeper->is_over; });
  LG_CHECK(keeper->fault == CallFault::none, "http://", impl_->url().authority(), impl_->url().path,
           ", ", what, ": ", keeper->message);
  return std::move(keeper->answer);
}

}  // namespace longgen
