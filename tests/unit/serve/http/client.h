// tests/unit/serve/http/client.h: a client of raw bytes, and servers to try it on.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "longgen/serve/http/server.h"

namespace longgen::http {

struct Answer {
  int status = 0;  ///< 0: none came
  std::string head = {}, body = {};
};

/// A connection to a port of this machine. What does not come within ten seconds is a failure.
class Client {
 public:
  explicit Client(int port, int receive_buffer_bytes = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience = {10, 0};
    set(SO_RCVTIMEO, patience);
    set(SO_SNDTIMEO, patience);
    if (receive_buffer_bytes > 0) set(SO_RCVBUF, receive_buffer_bytes);
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is_connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool is_connected() const { return is_connected_; }

  /// Sends what the server takes of the bytes: it may close before it has all of them.
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }

  /// Reads up to the end of `mark`, or of the connection.
  std::string read_to(std::string_view mark) {
    for (;;) {
      const size_t at = in_.find(mark);
      if (at != std::string::npos) return cut(at + mark.size());
      if (!read_some()) return cut(in_.size());
    }
  }
  std::string read_bytes(size_t size) {
    while (in_.size() < size && read_some()) continue;
    return cut(std::min(size, in_.size()));
  }
  /// Reads all until the server closes.
  std::string read_all() {
    while (read_some()) continue;
    return cut(in_.size());
  }

  Answer read_answer(bool has_body = true) {
    Answer answer;
    answer.head = read_to("\r\n\r\n");
    if (answer.head.substr(0, 9) == "HTTP/1.1 ")
      answer.status = std::stoi(answer.head.substr(9, 3));
    if (!has_body) return answer;
    const size_t length = answer.head.find("Content-Length: ");
    if (length != std::string::npos) {
      answer.body = read_bytes(std::stoul(answer.head.substr(length + 16)));
    } else if (answer.head.find("Transfer-Encoding: chunked") != std::string::npos) {
      for (std::string chunk; read_chunk(chunk) && !chunk.empty();) answer.body += chunk;
    } else {
      answer.body = read_all();
    }
    return answer;
  }
  /// Reads one chunk; the last one is empty. Returns false where the stream breaks off.
  bool read_chunk(std::string& chunk) {
    const std::string size = read_to("\r\n");
    if (size.size() < 3) return false;
    const size_t num_bytes = std::stoul(size, nullptr, 16);
    chunk = read_bytes(num_bytes);
    return read_bytes(2) == "\r\n" && chunk.size() == num_bytes;
  }

  Answer ask(std::string_view request) {
    send(request);
    return read_answer();
  }

  bool is_closed() { return !read_some() && in_.empty(); }
  void half_close() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  /// Goes without a word: the server sees an error and no end.
  void reset() {
    set(SO_LINGER, linger{1, 0});
    close();
  }

 private:
  template <typename Value>
  void set(int name, const Value& value) {
    ::setsockopt(fd_, SOL_SOCKET, name, &value, sizeof value);
  }
  bool read_some() {
    char block[1 << 16];
    const ssize_t size = ::recv(fd_, block, sizeof block, 0);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) ADD_FAILURE() << "nothing came";
    if (size > 0) in_.append(block, static_cast<size_t>(size));
    return size > 0;
  }
  std::string cut(size_t size) {
    std::string front = in_.substr(0, size);
    in_.erase(0, size);
    return front;
  }

  int fd_;
  bool is_connected_ = false;
  std::string in_;
};

inline std::string get(const std::string& path, const std::string& headers = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
}

inline std::string post(const std::string& path, const std::string& body,
                        const std::string& headers = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Options of a server on any free port.
inline ServerOptions any_port() {
  ServerOptions options;
  options.port = 0;
  return options;
}

/// Answers with what it was asked: method, path, query and body.
inline void echo(HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
  exchange->answer(200, "text/plain",
                   request.method + " " + request.path + " " + request.query + " " + request.body);
}

/// Expects that a client that asks properly is answered.
inline void expect_service(const Server& server) {
  Client client(server.port());
  const Answer answer = client.ask(post("/echo", "still there"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "POST /echo  still there");
}

/// Waits until the condition holds, at most ten seconds.
inline bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// A handler that keeps exchanges for a test's own thread; those of /echo it answers itself.
class Desk {
 public:
  Handler handler() {
    return [this](HttpRequest request, std::shared_ptr<Exchange> exchange) {
      if (request.path == "/echo") return echo(std::move(request), exchange);
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(exchange));
      came_.notify_all();
    };
  }
  std::shared_ptr<Exchange> next() {
    std::unique_lock lock(mutex_);
    if (!came_.wait_for(lock, std::chrono::seconds(10), [this] { return !waiting_.empty(); })) {
      ADD_FAILURE() << "no request came";
      return nullptr;
    }
    const auto exchange = std::move(waiting_.front());
    waiting_.pop_front();
    return exchange;
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::shared_ptr<Exchange>> waiting_;
};

}  // namespace longgen::http
