package import CLinux
package import Primitives

/// A descriptor that is closed with its owner.
package struct Socket: ~Copyable {
    package let descriptor: Int32

    /// Takes a descriptor over.
    package init(owning descriptor: Int32) { self.descriptor = descriptor }

    /// Of a call that answers a descriptor or a negated errno.
    package init?(result: Int) {
        guard result >= 0 else { return nil }
        descriptor = Int32(truncatingIfNeeded: result)
    }

    deinit { _ = linux_close(descriptor) }

    /// The descriptor, which is the caller's to close from here on.
    package consuming func release() -> Int32 {
        let descriptor = descriptor
        discard self
        return descriptor
    }
}

/// What a system call that may have to wait has said.
package enum Transfer: Equatable, Sendable {
    case moved(Int)
    case wouldBlock
    case failed(Int32)

    @inline(__always)
    init(_ result: Int) {
        if result >= 0 {
            self = .moved(result)
        } else if result == -Int(linux_again) || result == -Int(linux_interrupted) {
            // Interrupted: level-triggered, so the poller tells again.
            self = .wouldBlock
        } else {
            self = .failed(Int32(truncatingIfNeeded: -result))
        }
    }
}

/// Moving bytes over a connected socket. The other half, with `Poller`, of what another way of doing I/O
/// replaces.
package enum Stream {
    @inline(__always)
    package static func receive(
        _ descriptor: Int32, into room: UnsafeMutableRawPointer, _ count: Int
    ) -> Transfer { Transfer(linux_recv(descriptor, room, count)) }

    @inline(__always)
    package static func send(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Transfer {
        Transfer(linux_send(descriptor, bytes, count))
    }

    @inline(__always)
    package static func send(
        _ descriptor: Int32, pieces: UnsafePointer<linux_piece>, _ count: Int
    ) -> Transfer { Transfer(linux_send_pieces(descriptor, pieces, count)) }
}

/// The text of an errno, as `strerror` has it.
package func errorText(_ error: Int32) -> ByteString {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { room in
        let count = linux_error_text(error, room.baseAddress, room.count)
        return ByteString(ByteView(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])))
    }
}

extension StaticString {
    package var cString: UnsafePointer<CChar> {
        UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
    }
}

extension ByteString {
    /// The bytes with a zero behind them; cut at a zero inside.
    package func withCString<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { room in
            for (place, byte) in bytes.enumerated() { room[place] = CChar(bitPattern: byte) }
            room[count] = 0
            return body(UnsafePointer(room.baseAddress!))
        }
    }
}
