import CLinux
import Engine
import EventLoop
import Primitives

extension SocketAddress {
    /// The 16 bytes of an address read as two big-endian numbers; IPv4 is the upper half of `high`.
    init(_ address: linux_address) {
        let family: Family =
            address.family == UInt32(LINUX_IPV4)
            ? .ipv4 : address.family == UInt32(LINUX_IPV6) ? .ipv6 : .unix
        self.init(
            family: family, high: address.high, low: address.low, port: address.port,
            processID: address.process, userID: address.user)
    }
}

/// Where listening and server sockets are in the file system, or in the abstract name space.
enum UnixPath {
    static func path(directory: ByteString, port: UInt16) -> ByteString {
        ByteString(directory.bytes + Array("/.s.PGSQL.\(port)".utf8))
    }
}

/// `127.0.0.1:6432` or `[::1]:6432`.
func printed(_ address: linux_address) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { room in
        let count = withUnsafePointer(to: address) { linux_print_address($0, room.baseAddress, room.count) }
        let text = String(decoding: UnsafeRawBufferPointer(room)[..<count], as: UTF8.self)
        return address.family == UInt32(LINUX_IPV6)
            ? "[\(text)]:\(address.port)" : "\(text):\(address.port)"
    }
}

extension SocketOptions {
    func apply(to descriptor: Int32) {
        _ = linux_pass_without_delay(descriptor)
        if keepAlive {
            _ = linux_keep_alive(descriptor, probes, idleSeconds, intervalSeconds, userTimeoutMilliseconds)
        }
        if bufferBytes > 0 { _ = linux_socket_buffers(descriptor, bufferBytes) }
    }
}
