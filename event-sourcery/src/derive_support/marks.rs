//! Fields that are to be encrypted: what derived code asks for while the caller's crate compiles.

/// What a marked field without a mask of its own has to be, so that it is said what to write.
#[diagnostic::on_unimplemented(
    message = "an encrypted field of the type `{Self}` needs a mask",
    label = "there is no `Default` to read as once its subject was shredded",
    note = "write `#[event(encrypted, mask = ..)]`, with a value of the field's type"
)]
pub trait HasDefaultMask: Default {}

#[diagnostic::do_not_recommend]
impl<T: Default> HasDefaultMask for T {}

/// The mask of a field that names none.
#[must_use]
pub fn default_mask<T: HasDefaultMask>() -> T {
    T::default()
}

/// Fails the build where a type within an event leaves it to the event to name the subject, and the event names none.
#[track_caller]
#[expect(clippy::panic, reason = "evaluated at compile time, where it fails the build")]
pub const fn assert_has_subject(needs_subject: bool) {
    if needs_subject {
        panic!(
            "this field holds encrypted fields, and the event names no data subject: mark the field that tells whom they are about, \
             `#[event(subject)]`; or where it is the stream's name, write `#[event(stream_is_subject)]` on the event"
        );
    }
}

/// Fails the build where a type with marks stands in a field in which they are not looked for.
#[track_caller]
#[expect(clippy::panic, reason = "evaluated at compile time, where it fails the build")]
pub const fn assert_is_looked_into(has_marks: bool, is_looked_into: bool) {
    if has_marks && !is_looked_into {
        panic!(
            "this field holds a type with encrypted fields where nobody looks for them, and they would be stored in the clear: hold it in \
             an `Option`, a `Box`, a list, an array, the values of a map, or a struct that derives `Personal`, and derive `Personal` for \
             it too; or encrypt the whole field. Where the type is named and not stored, give the field's type a name of its own, \
             `type ..`"
        );
    }
}

/// Fails the build where a field is a tag whose type has encrypted fields.
#[track_caller]
#[expect(clippy::panic, reason = "evaluated at compile time, where it fails the build")]
pub const fn assert_stands_open(has_marks: bool) {
    if has_marks {
        panic!("this field holds encrypted fields, and a tag stands in the clear: tag another one");
    }
}
