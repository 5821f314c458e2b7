#include "longgen/dist/sockets/mesh.h"

#include <poll.h>

#include <algorithm>
#include <list>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/log.h"
#include "longgen/dist/sockets/handshake.h"

namespace longgen {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{10};  // with one that connects
constexpr size_t kMaxVisitors = 1024;          // of whom nobody knows yet who they are

std::string address_key(int rank) { return "address/" + std::to_string(rank); }

class Mesh {
 public:
  Mesh(Store& store, int rank, int num_ranks, std::string host, Deadline deadline)
      : store_(store),
        rank_(rank),
        host_(std::move(host)),
        deadline_(deadline),
        links_(static_cast<size_t>(num_ranks)) {}

  std::vector<Socket> connect() {
    const Socket listener = listen_at({host_, 0});
    if (rank_ == 0) store_.set("key", make_run_key());
    store_.set(address_key(rank_), Json{{"host", host_}, {"port", port_of(listener)}}.dump());
    key_ = store_.get("key", deadline_);
    for (int peer = 0; peer < rank_; ++peer) links_[static_cast<size_t>(peer)] = greet(peer);
    while (!missing().empty()) receive_visitors(listener);
    return std::move(links_);
  }

 private:
  Endpoint endpoint_of(int peer) const {
    const std::string where = detail::concat("the address of rank ", peer);
    const Json value = parse_json(store_.get(address_key(peer), deadline_), where);
    const JsonObject json(value, where);
    return {json.string("host"), static_cast<int>(json.integer("port", 1, 65535))};
  }

  Socket greet(int peer) const {
    const Endpoint endpoint = endpoint_of(peer);
    Socket socket = connect_to(endpoint, deadline_);
    LG_CHECK(introduce(socket, key_, rank_, peer, deadline_), endpoint.text(),
             ": who answers there is not rank ", peer, " of this run, or has ended.");
    return socket;
  }

  /// Waits for somebody, and looks at who has come.
  void receive_visitors(const Socket& listener) {
    LG_CHECK(steady_clock::now() < deadline_, "rank ", missing(),
             " did not come. What its own output says is the reason.");
    std::vector<pollfd> entries = {{listener.fd(), POLLIN, 0}};
    for (const Waiting& waiting : visitors_) entries.push_back({waiting.visitor.fd(), POLLIN, 0});
    ::poll(entries.data(), entries.size(), milliseconds_until(deadline_));
    for (auto waiting = visitors_.begin(); waiting != visitors_.end();) {
      waiting = is_settled(*waiting) ? visitors_.erase(waiting) : std::next(waiting);
    }
    while (visitors_.size() < kMaxVisitors) {
      std::optional<Socket> socket = accept_one(listener);
      if (!socket) break;
      visitors_.push_back(
          {Visitor(std::move(*socket), key_, rank_), steady_clock::now() + kPatience});
    }
  }

  struct Waiting {
    Visitor visitor;
    Deadline until;
  };

  bool is_settled(Waiting& waiting) {
    const Visitor::State state = waiting.visitor.look();
    if (state == Visitor::State::waits && steady_clock::now() < waiting.until) return false;
    const int from = waiting.visitor.from();
    const bool expected = state == Visitor::State::known && from > rank_ &&
                          from < static_cast<int>(links_.size()) &&
                          !links_[static_cast<size_t>(from)].is_open();
    if (expected) {
      links_[static_cast<size_t>(from)] = waiting.visitor.take_socket();
    } else if (!std::exchange(warned_, true)) {
      log_warning(detail::concat("somebody who is not of this run connected to rank ", rank_,
                                 " and was turned away."));
    }
    return true;
  }

  /// The ranks that are yet to connect: "2, 3".
  std::string missing() const {
    std::string ranks;
    for (size_t r = static_cast<size_t>(rank_) + 1; r < links_.size(); ++r) {
      if (!links_[r].is_open()) ranks += (ranks.empty() ? "" : ", ") + std::to_string(r);
    }
    return ranks;
  }

  Store& store_;
  int rank_;
  std::string host_, key_;
  Deadline deadline_;
  std::vector<Socket> links_;
  std::list<Waiting> visitors_;
  bool warned_ = false;  // of strangers
};

}  // namespace

std::vector<Socket> connect_all(Store& store, int rank, int num_ranks, const std::string& host,
                                Deadline deadline) {
  return Mesh(store, rank, num_ranks, host, deadline).connect();
}

}  // namespace longgen
