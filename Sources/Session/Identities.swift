package import Primitives

/// A database that clients ask for by name.
package struct DatabaseID: TypedHandle {
    package let handle: Handle
    package init(_ handle: Handle) { self.handle = handle }
}

/// A role: of a client, of a server, or both.
package struct UserID: TypedHandle {
    package let handle: Handle
    package init(_ handle: Handle) { self.handle = handle }
}

/// All servers for one database and one user.
package struct PoolID: TypedHandle {
    package let handle: Handle
    package init(_ handle: Handle) { self.handle = handle }
}
