#include "longgen/dist/tcp_store.h"

#include <c10/util/Exception.h>
#include <c10/util/Logging.h>

#include <algorithm>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "longgen/base/check.h"

namespace longgen {
namespace {

using std::chrono::milliseconds;

// For what the store has or makes at once.
constexpr milliseconds kAnswerTime{30'000};

class TcpStore : public Store {
 public:
  TcpStore(Endpoint where, const c10d::TCPStoreOptions& options, std::string run)
      : where_(std::move(where)), options_(options), prefix_("longgen/" + run + "/") {
    call([&] { store_ = c10::make_intrusive<c10d::TCPStore>(where_.host, options_); });
    if (options_.isServer) where_.port = store_->getPort();
    options_.isServer = false;
    options_.port = static_cast<uint16_t>(where_.port);
    options_.masterListenFd.reset();
  }

  void set(const std::string& key, const std::string& value) override {
    call([&] { store_->set(prefix_ + key, bytes(value)); });
  }

  std::string get(const std::string& key, Deadline deadline) override {
    const milliseconds left(milliseconds_until(deadline, 1'000'000'000));
    return call([&] {
      store_->wait({prefix_ + key}, std::max(left, milliseconds(1)));
      return text(store_->get(prefix_ + key));
    });
  }

  std::optional<std::string> find(const std::string& key) override {
    return call([&]() -> std::optional<std::string> {
      if (!store_->check({prefix_ + key})) return std::nullopt;
      return text(store_->get(prefix_ + key));
    });
  }

  std::vector<std::string> get_all(const std::vector<std::string>& keys) override {
    return call([&] {
      std::vector<std::string> names, values;
      for (const std::string& key : keys) names.push_back(prefix_ + key);
      for (const auto& value : store_->multiGet(names)) values.push_back(text(value));
      return values;
    });
  }

  std::string set_first(const std::string& key, const std::string& value) override {
    return call([&] { return text(store_->compareSet(prefix_ + key, {}, bytes(value))); });
  }

  std::unique_ptr<Store> connect_again() const override {
    return std::make_unique<TcpStore>(where_, options_, run());
  }

 private:
  static std::vector<uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }
  static std::string text(const std::vector<uint8_t>& bytes) {
    return {bytes.begin(), bytes.end()};
  }

  std::string run() const {
    constexpr size_t kBefore = std::string_view("longgen/").size();
    return prefix_.substr(kBefore, prefix_.size() - kBefore - 1);
  }

  /// Calls action(); what torch throws becomes an Error.
  template <typename Action>
  auto call(const Action& action) const -> decltype(action()) {
    try {
      return action();
    } catch (const c10::Error& error) {
      LG_FAIL("the ranks' store at ", where_.text(), ": ", error.what_without_backtrace());
    } catch (const std::exception& error) {  // of sockets, where the server is gone
      LG_FAIL("the ranks' store at ", where_.text(), ": ", error.what());
    }
  }

  Endpoint where_;
  c10d::TCPStoreOptions options_;
  std::string prefix_;
  c10::intrusive_ptr<c10d::TCPStore> store_;
};

c10d::TCPStoreOptions store_options(int num_ranks, milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.numWorkers = static_cast<size_t>(num_ranks);
  options.waitWorkers = false;
  options.timeout = timeout;
  return options;
}

}  // namespace

void mute_store_log() { FLAGS_caffe2_log_level = c10::GLOG_FATAL; }

std::unique_ptr<Store> serve_store(Socket listener, const std::string& host, const std::string& run,
                                   int num_ranks) {
  c10d::TCPStoreOptions options = store_options(num_ranks, kAnswerTime);
  options.isServer = true;
  options.port = static_cast<uint16_t>(port_of(listener));
  options.masterListenFd = listener.release();
  return std::make_unique<TcpStore>(Endpoint{host, options.port}, options, run);
}

std::unique_ptr<Store> connect_to_store(const Endpoint& where, const std::string& run,
                                        int num_ranks, milliseconds timeout) {
  c10d::TCPStoreOptions options = store_options(num_ranks, timeout);
  options.port = static_cast<uint16_t>(where.port);
  return std::make_unique<TcpStore>(where, options, run);
}

std::unique_ptr<Store> open_store(const RankPlace& place, std::chrono::milliseconds timeout) {
  if (!place.serves_store()) {
    return connect_to_store(place.store, place.run, place.num_ranks, timeout);
  }
  return serve_store(listen_at(place.store), place.store.host, place.run, place.num_ranks);
}

}  // namespace longgen
