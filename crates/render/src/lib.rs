//! A plan as libvirt XML, inventories and identity; pure.
