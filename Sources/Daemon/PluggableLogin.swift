import Auth
import CPAM
import EventLoop
import Primitives

/// Asks PAM whether a password is right: on threads that may wait, since modules do what they want.
enum PluggableLogin {
    /// `nil` when it is right, or why it counts as wrong.
    static func refusal(
        service: ByteString, user: ByteString, password: Secret, host: ByteString
    ) -> ByteString? {
        if password.isEmpty { return "empty password" }
        return password.withCString { password in
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { room in
                let isAllowed = service.withCString { service in
                    user.withCString { user in
                        host.withCString { host in
                            cpam_check(service, user, password, host, room.baseAddress, room.count)
                        }
                    }
                }
                if isAllowed != 0 { return nil }
                return room.baseAddress.map { ByteString(String(cString: $0)) } ?? ""
            }
        }
    }
}

extension Secret {
    /// With a terminator behind it, in memory that is wiped.
    fileprivate func withCString<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        withView { bytes in
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + 1, alignment: 1)
            defer {
                cpam_wipe(room.baseAddress, room.count)
                room.deallocate()
            }
            room.copyMemory(from: bytes.rawBuffer)
            room[bytes.count] = 0
            return room.withMemoryRebound(to: CChar.self) { body(UnsafePointer($0.baseAddress!)) }
        }
    }
}
