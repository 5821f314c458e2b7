#include "longgen/dist/sockets/handshake.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr size_t kNonceSize = 16, kMacSize = 32, kRankSize = 4;
using Nonce = std::array<std::byte, kNonceSize>;
using Mac = std::array<std::byte, kMacSize>;

Nonce make_nonce() {
  Nonce nonce;
  LG_CHECK(::getrandom(nonce.data(), nonce.size(), 0) == static_cast<ssize_t>(nonce.size()),
           "the system gives no random numbers: ", std::strerror(errno), ".");
  return nonce;
}

enum class Direction : char { to_acceptor = 'c', to_connector = 'a' };

void append(std::vector<unsigned char>& text, std::span<const std::byte> bytes) {
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  text.insert(text.end(), data, data + bytes.size());
}

std::array<std::byte, kRankSize> as_bytes(int rank) {
  const auto number = static_cast<uint32_t>(rank);
  std::array<std::byte, kRankSize> bytes;
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

/// What both ends know of a connection when they answer.
struct Proof {
  const std::string& key;
  std::span<const std::byte> acceptor_nonce, connector_nonce;
  int connector, acceptor;

  Mac mac(Direction direction) const {
    std::vector<unsigned char> text = {
        'l', 'o', 'n', 'g', 'g', 'e', 'n', '1', static_cast<unsigned char>(direction)};
    append(text, acceptor_nonce);
    append(text, connector_nonce);
    append(text, as_bytes(connector));
    append(text, as_bytes(acceptor));
    Mac mac;
    unsigned int size = 0;
    const bool made = ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), text.data(),
                             text.size(), reinterpret_cast<unsigned char*>(mac.data()), &size);
    LG_DCHECK(made && size == kMacSize);
    return mac;
  }
};

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

std::string make_run_key() {
  std::string key;
  for (const std::byte byte : make_nonce()) {
    constexpr const char* kDigits = "0123456789abcdef";
    key += kDigits[static_cast<int>(byte) >> 4];
    key += kDigits[static_cast<int>(byte) & 15];
  }
  return key;
}

bool introduce(const Socket& socket, const std::string& key, int from, int to, Deadline deadline) {
  Nonce acceptor_nonce;
  if (!read_all(socket, acceptor_nonce, deadline)) return false;
  const Nonce own = make_nonce();
  const Proof proof = {key, acceptor_nonce, own, from, to};
  if (!write_all(socket, as_bytes(from), deadline) || !write_all(socket, own, deadline) ||
      !write_all(socket, proof.mac(Direction::to_acceptor), deadline)) {
    return false;
  }
  Mac answer;
  return read_all(socket, answer, deadline) && equal(answer, proof.mac(Direction::to_connector));
}

Visitor::Visitor(Socket socket, const std::string& key, int rank)
    : socket_(std::move(socket)), key_(key), rank_(rank), nonce_(make_nonce()) {
  // A new connection has room for so few bytes; where it is gone already, look() will find out.
  ::send(socket_.fd(), nonce_.data(), nonce_.size(), MSG_NOSIGNAL);
}

Visitor::State Visitor::look() {
  while (num_read_ < answer_.size()) {
    const ssize_t count =
        ::recv(socket_.fd(), answer_.data() + num_read_, answer_.size() - num_read_, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return State::waits;
    if (count <= 0) return State::stranger;
    num_read_ += static_cast<size_t>(count);
  }
  return check_answer() ? State::known : State::stranger;
}

bool Visitor::check_answer() {
  uint32_t from = 0;
  std::memcpy(&from, answer_.data(), sizeof from);
  const std::span<const std::byte> all = answer_;
  const Proof proof = {key_, nonce_, all.subspan(kRankSize, kNonceSize), static_cast<int>(from),
                       rank_};
  if (!equal(all.last(kMacSize), proof.mac(Direction::to_acceptor))) return false;
  from_ = static_cast<int>(from);
  const Mac mac = proof.mac(Direction::to_connector);
  return ::send(socket_.fd(), mac.data(), mac.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(mac.size());
}

}  // namespace longgen
